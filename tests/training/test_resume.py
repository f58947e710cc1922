"""Resume from checkpoints: a training that was stopped ends in the same bits; micro-batches when memory is small."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.helpers.keras_oracle import in_double
from tests.helpers.training_tree import (
    TINY,
    command,
    folder_of,
    lines,
    made_in,
    metrics_of,
    train,
    write_example,
    write_recipe,
)
from training.data.images import DecodedStore
from training.errors import TrainingError
from training.fitting import loop
from training.fitting.checkpoint import Checkpoint
from training.fitting.crossval import Job, JobContext, run_job
from training.fitting.trainer import Trainer, predict
from training.runs.workspace import open_workspace

RECIPE = replace(TINY, precision="fp32", epochs=5, average_from=0.4)
ALWAYS = 1e9  # share of the time for writing: after every epoch
SAME = ("model.safetensors", "probs.npy", "predictions.csv", "recipe.json")


class Stop(Exception):
    """Ends a training between two epochs."""


@pytest.fixture(scope="module")
def colours():
    random = np.random.default_rng(0)
    targets = np.arange(48) % 3
    images = random.uniform(0, 90, (48, 32, 32, 3)).astype(np.float32)
    images[np.arange(48), :, :, targets] += 9
    return images, targets


@pytest.fixture(scope="module")
def cases(colours):
    """Ways to call `fit`: with a val that the second epoch gets right and no other; with held-out images."""
    images, targets = colours
    early = loop.fit(replace(RECIPE, epochs=2), images, targets, 3, 0).model
    guess = predict(early, images[:30], RECIPE).argmax(1)
    return {"val": {"val": (images[:30], guess)}, "held out": {"held_out": images[:9]}}


def stopping_after(number):
    def emit(event):
        if not isinstance(event, str) and event.epoch == number:
            raise Stop

    return emit


def bits(fitted):
    weights = b"".join(value.numpy().tobytes() for value in fitted.model.state_dict().values())
    return weights, fitted.averaged is not None and fitted.averaged.tobytes(), fitted.history, fitted.best_epoch


# --- one model ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["val", "held out"])
@pytest.mark.parametrize("stops", [[1], [3], [1, 2, 3, 4]], ids=str)
def test_gone_on_with_it_ends_in_the_same_bits(tmp_path, colours, cases, case, stops):
    more, heard = cases[case], []
    wanted = loop.fit(RECIPE, *colours, 3, 0, **more)
    assert case != "val" or wanted.best_epoch == 2
    for number in stops:
        checkpoint = Checkpoint(tmp_path / "m", {}, ALWAYS)
        with pytest.raises(Stop):
            loop.fit(RECIPE, *colours, 3, 0, **more, checkpoint=checkpoint, emit=stopping_after(number))
    found = loop.fit(
        RECIPE, *colours, 3, 0, **more, checkpoint=Checkpoint(tmp_path / "m", {}, ALWAYS), emit=heard.append
    )
    assert bits(found) == bits(wanted)
    assert heard == [f"goes on after epoch {stops[-1]} of 5", *wanted.history]


def test_what_is_finished_is_not_trained_again(tmp_path, colours):
    wanted = loop.fit(RECIPE, *colours, 3, 0, checkpoint=Checkpoint(tmp_path / "m", {}))
    written = (tmp_path / "m").stat()
    found = loop.fit(RECIPE, *colours, 3, 0, checkpoint=Checkpoint(tmp_path / "m", {}))
    assert bits(found) == bits(wanted)
    after = (tmp_path / "m").stat()
    assert (after.st_mtime_ns, after.st_ino) == (written.st_mtime_ns, written.st_ino)


def test_writing_waits_until_it_is_worth_it_but_for_the_last(tmp_path, colours):
    tensors = Trainer(RECIPE, *colours, 3, 0).tensors()
    checkpoint, numbers = Checkpoint(tmp_path / "m", {}, share=1e-9), []
    for number, last in enumerate([False, False, True]):
        checkpoint.write(tensors, {"number": number}, last=last)
        numbers.append(checkpoint.read(tensors, pytest.fail)[1]["number"])
    assert numbers == [0, 0, 2]


def cut(path, other):
    path.write_bytes(path.read_bytes()[:-1])


def cut_in_the_header(path, other):
    path.write_bytes(path.read_bytes()[:100])


def empty(path, other):
    path.write_bytes(b"")


def nonsense(path, other):
    path.write_bytes(b"\x80\x04}q\x00." * 99)  # a pickle, among other things


def plain_weights(path, other):
    save_file({"x": torch.zeros(3)}, path)


def another_job(path, other):
    shutil.copy(other, path)


def another_torch(path, other):
    with safe_open(path, framework="pt") as file:
        words = json.loads(file.metadata()["words"])
    words["key"]["torch"] = "1.0"
    save_file(load_file(path), path, {"words": json.dumps(words)})


@pytest.mark.parametrize("spoil", [cut, cut_in_the_header, empty, nonsense, plain_weights, another_job, another_torch])
def test_what_is_torn_or_foreign_is_removed_with_a_word(tmp_path, colours, spoil):
    short, path = replace(RECIPE, epochs=2), tmp_path / "m"
    loop.fit(short, *colours, 3, 0, checkpoint=Checkpoint(path, {"job": "fold 1"}))
    loop.fit(short, *colours, 3, 1, checkpoint=Checkpoint(tmp_path / "other", {"job": "fold 2"}))
    spoil(path, tmp_path / "other")
    heard = []
    found = loop.fit(short, *colours, 3, 0, checkpoint=Checkpoint(path, {"job": "fold 1"}), emit=heard.append)
    assert bits(found) == bits(loop.fit(short, *colours, 3, 0))
    assert heard[0].startswith("the checkpoint of an earlier training is not used (")
    assert [word for word in ("another job", "another torch") if word in heard[0]] == (
        [spoil.__name__.replace("_", " ")] if spoil in (another_job, another_torch) else []
    )
    assert heard[1:] == list(found.history)


def test_tensors_of_another_shape_are_not_used(tmp_path, colours):
    three, four = (Trainer(RECIPE, *colours, classes, 0).tensors() for classes in (3, 4))
    heard, checkpoint = [], Checkpoint(tmp_path / "m", {})
    checkpoint.write(three, {}, last=True)
    assert checkpoint.read(four, heard.append) is None
    assert "of another network" in heard[0]
    assert not (tmp_path / "m").exists()


def outcome(folder, images, targets, *, recipe=RECIPE, data="one", name="fold 1", seed=0, checkpoints=None):
    """Return the predictions for five images by a job that trains on all."""
    digests = tuple(f"{number:064x}" for number in range(len(images)))
    store = DecodedStore(folder / "cache", "plain", 32, digests)
    store.cache.fill(digests, lambda positions: images[positions], 99, lambda _: None)
    everyone, none = np.arange(len(images)), np.zeros(0, np.int64)
    key = {"data": data, "recipe": recipe.digest}
    context = JobContext(recipe, store, targets, 3, folder / "weights", checkpoints, key)
    return run_job(context, Job(name, seed, everyone, none, everyone[:5]), lambda _: None).others.tobytes()


@pytest.mark.parametrize("what", ["data", "recipe", "job"])
def test_a_job_takes_up_only_what_is_its_own(tmp_path, colours, what):
    images, targets = colours
    outcome(tmp_path, images, targets, checkpoints=tmp_path)
    changed = {
        "data": {"data": "two", "targets": targets[::-1].copy()},
        "recipe": {"recipe": replace(RECIPE, learning_rate=2e-3)},
        "job": {"name": "fold 2", "seed": 1},
    }[what]
    if what == "job":
        shutil.copy(tmp_path / "fold 1.safetensors", tmp_path / "fold 2.safetensors")
    arguments = {"images": images, "targets": targets} | changed
    assert outcome(tmp_path, **arguments, checkpoints=tmp_path) == outcome(tmp_path, **arguments)


def test_a_full_disk_is_told_in_a_sentence(tmp_path, colours):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(TrainingError, match=r"m: cannot be written \(Not a directory\)"):
        loop.fit(RECIPE, *colours, 3, 0, checkpoint=Checkpoint(tmp_path / "file" / "m", {}))


WRITER = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from training.fitting.checkpoint import Checkpoint

torch.set_num_threads(1)
path, halves, whole = Path(sys.argv[1]) / "m", 0, 0
like = {str(i): torch.zeros(300_000) for i in range(4)}
for _ in range(25):
    child = os.fork()
    if not child:
        for number in range(10**9):
            state = {name: torch.full_like(value, number) for name, value in like.items()}
            Checkpoint(path, {}, 1e9).write(state, {"number": number}, last=True)
    while not path.exists():
        time.sleep(0.001)
    time.sleep(random.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    halves += path.with_name(f".m.{child}").exists()
    state, words = Checkpoint(path, {}).read(like, sys.exit)
    whole += all(bool((value == words["number"]).all()) for value in state.values())
print(halves, whole)
"""


def test_killed_while_it_writes_the_file_before_stays_whole(tmp_path):
    done = subprocess.run([sys.executable, "-c", WRITER, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    halves, whole = map(int, done.stdout.split())
    assert halves > 0, "no kill fell into a writing"
    assert whole == 25


# --- a run ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = write_example(tmp_path_factory.mktemp("training"))
    write_recipe(folder / "long.json", epochs=20, folds=2)
    return folder


def session(place, until, sent, to):
    """Train until a message, then send a signal; return the exit code and stderr."""
    words = command(place / "data", place / "long.json", place / "runs", "--json", "--workers", 1)
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        for line in process.stdout:
            if until(json.loads(line)):
                break
        to(process.pid, sent)
        return process.wait(), process.stderr.read()


@pytest.mark.long
def test_a_run_that_is_stopped_in_every_way_ends_like_one_that_was_not(place):
    whole = folder_of(train(place / "data", place / "long.json", place / "whole", "--json", "--workers", 2))
    stopped = "stopped; run the same command again to resume\n"
    assert session(place, lambda line: line["done"] == 2 and line["stage"] == "train", signal.SIGKILL, os.killpg)[0] < 0
    ctrl_c = session(place, lambda line: line["done"] == 4 and line["stage"] == "train", signal.SIGINT, os.killpg)
    assert ctrl_c == (130, stopped)
    between = session(place, lambda line: line["stage"] == "folds", signal.SIGTERM, os.kill)
    assert between == (130, stopped)
    assert session(place, lambda line: line["message"].startswith("fold 2: loss"), signal.SIGKILL, os.killpg)[0] < 0
    (unfinished,) = made_in(place / "runs")
    before = json.loads((place / "runs" / unfinished / "sittings.json").read_text())

    last = train(place / "data", place / "long.json", place / "runs", "--json", "--workers", 2)
    folder = folder_of(last)
    notes = [line["message"] for line in lines(last)[:-1] if line["stage"] == "note"]
    assert {"main: goes on after epoch 20 of 20", "fold 1: goes on after epoch 20 of 20"} <= set(notes)
    assert len([note for note in notes if note.startswith("fold 2: goes on after epoch ")]) == 1
    assert made_in(place / "runs") == {folder.name}
    for name in SAME:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    found, wanted = metrics_of(folder), metrics_of(whole)
    assert len(before) == 4
    assert found["seconds"] > sum(before)
    assert found["sittings"] == 5
    clock = {"created": "", "seconds": 0, "sittings": 1}
    assert found | clock == wanted | clock
    assert "sittings" not in wanted


def test_of_unfinished_runs_one_a_recipe_is_kept_and_those_being_worked_at(tmp_path):
    for name in (".tmp-a-r1", ".tmp-b-r1", ".tmp-c-r2", "d-r1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.safetensors").touch()
    with open_workspace(tmp_path, "b-r1", "one"), open_workspace(tmp_path, "e-r1", "two"):
        assert {path.name for path in tmp_path.iterdir()} == {".tmp-b-r1", ".tmp-e-r1", ".tmp-c-r2", "d-r1"}


def test_two_cannot_work_at_the_same(tmp_path):
    second = open_workspace(tmp_path, "a-r", "two", timeout=0.1)
    with open_workspace(tmp_path, "a-r", "one"), pytest.raises(TrainingError, match="wait for it"):
        second.__enter__()


@pytest.mark.parametrize("kept", [False, True])
def test_only_what_can_be_gone_on_with_is_left_behind(tmp_path, kept):
    def stopped():
        with open_workspace(tmp_path, "a-r", "one") as folder:
            made = [".main.safetensors.123", "sittings.json", "run/probs.npy"]
            for name in (*made, *["main.safetensors"] * kept):
                (folder / name).touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    left = {path.name for path in tmp_path.rglob("*")}
    assert left == ({".tmp-a-r", "main.safetensors", "sittings.json"} if kept else set())


# --- memory ---------------------------------------------------------------------------------------

SMALL = """
import resource
from dataclasses import replace
import numpy as np
from training.fitting import loop
from training.errors import TrainingError
from training.recipe import RECIPES

recipe = replace(RECIPES["roman-resnet50"], epochs=1, batch=6)
images, targets = np.zeros((6, 512, 512, 3), np.float32), np.arange(6) % 3
loop.fit(recipe, images[:, :32, :32].copy(), targets, 3, 0)  # all is loaded
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 30 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    loop.fit(recipe, images, targets, 3, 0, emit=print)
except TrainingError as error:
    print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads its size in /proc")
def test_a_full_memory_is_told_in_a_sentence_after_trying_with_fewer_images():
    done = subprocess.run([sys.executable, "-c", SMALL], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *tried, refused = done.stdout.splitlines()
    assert tried == [f"the memory is too small: batches of 6 are processed {n} at a time" for n in (3, 1)]
    assert refused.startswith("the memory is too small for a single image: free some, and try again (")


def test_where_memory_lacks_an_epoch_begins_again_in_smaller_parts(colours):
    small, begun = (Trainer(replace(RECIPE, epochs=1), *colours, 3, 0) for _ in range(2))
    passed, heard = [], []

    def fill_up(_, __, out):  # in the midst of the network, and of the epoch
        passed.append(len(out))
        if len(out) > 3 and len(passed) > 3:
            raise torch.OutOfMemoryError

    small.model.block1.register_forward_hook(fill_up)
    state = loop.TrainingState(small, None, None, heard.append)
    state.advance(1)
    begun.micro_batch = 2
    begun.train_epoch(1, pytest.fail)
    assert heard == [f"the memory is too small: batches of 8 are processed {n} at a time" for n in (4, 2)]
    assert passed == [8] * 4 + [4] + [2] * 24
    assert all(torch.equal(value, begun.tensors()[name]) for name, value in small.tensors().items())
    assert state.finish().micro_batch == 2


def test_how_small_the_parts_became_is_kept(tmp_path, colours):
    first, second = (loop.TrainingState(Trainer(RECIPE, *colours, 3, 0), None, None, lambda _: None) for _ in range(2))
    first.trainer.micro_batch = 2
    first.advance(1)
    checkpoint = Checkpoint(tmp_path / "m", {})
    checkpoint.write(first.tensors(), first.metadata(), last=True)
    second.resume(checkpoint)
    assert second.trainer.micro_batch == 2


def test_parts_make_one_step_with_the_mean_gradient_of_the_batch(colours):
    whole, parts = (in_double(Trainer(replace(RECIPE, batch=8), *colours, 3, 0)) for _ in range(2))
    parts.micro_batch = 3
    chosen, batch = torch.arange(8), torch.from_numpy(colours[0][:8]).permute(0, 3, 1, 2)
    grads = []
    for some in (chosen[:3], chosen[3:6], chosen[6:]):
        whole.optimiser.zero_grad()
        logits = whole.model(batch[some])
        torch.nn.functional.cross_entropy(logits, whole.targets[some], reduction="sum").backward()
        grads.append([each.grad.clone() for each in whole.model.parameters()])
    parts.step(0, batch, chosen)
    for each, *three in zip(parts.model.parameters(), *grads, strict=True):
        torch.testing.assert_close(each.grad, sum(three) / 8, rtol=1e-9, atol=1e-12)
    assert {int(state["step"]) for state in parts.optimiser.state.values()} == {1}


def test_another_error_is_not_taken_for_a_lack_of_memory(colours):
    images, targets = colours
    with pytest.raises(RuntimeError, match="size of tensor"):
        loop.fit(RECIPE, images.repeat(2, axis=3), targets, 3, 0)
