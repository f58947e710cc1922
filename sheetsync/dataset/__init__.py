"""The dataset: an ImageFolder kept equal to the rows, by a plan that is made and then carried out."""
