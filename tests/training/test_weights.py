"""Pretrained weights are found, verified, and never downloaded unasked; EfficientNet's outputs are the reference's."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from training import weights
from training.errors import TrainingError
from training.networks.efficientnet import CLASSES, EfficientNetLite0, fuse_batchnorm, rename_keys

CONTENT = b"not really weights" * 100_000  # some megabytes


def silent(*_):
    pass


def published(folder, content=CONTENT, url=""):
    name = f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    return weights.PublishedFile(name, folder, url, "1 MB")


class Answers(BaseHTTPRequestHandler):
    def __init__(self, content, length, *args):
        self.content, self.length = content, length
        super().__init__(*args)

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(self.length))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *args):
        pass


@contextmanager
def serving(content, length=None):
    """Serve this content on this machine, with a Content-Length that may be wrong."""
    handler = partial(Answers, content, len(content) if length is None else length)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/net.pth"
        server.shutdown()


def offline(code, home):
    """Run Python where PyTorch's cache is `home` and no network can be reached."""
    nowhere = dict.fromkeys(("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"), "http://127.0.0.1:9")
    return subprocess.run(
        [sys.executable, *code], env=os.environ | nowhere | {"TORCH_HOME": str(home)}, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def state():
    return weights.load(weights.LITE0, weights.fetch(weights.LITE0, None, silent))


@pytest.fixture
def lite0(state):
    model = EfficientNetLite0(CLASSES, momentum=0.01)
    model.load_state_dict(rename_keys(state))
    return model.eval()


def noise(*shape):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape).astype(np.float32))


def test_efficientnet_says_what_the_reference_says(lite0):
    # computed once by the package efficientnet-lite-pytorch 0.1.0, from (x - 127) / 128
    wanted = [-1.007816, 0.151869, -0.643162, -1.645470, -0.220514, -0.231011]
    with torch.inference_mode():
        found = lite0(noise(1, 3, 97, 128))  # an odd side tells the paddings apart
    assert found.shape == (1, 1000)
    assert found[0, :6].tolist() == pytest.approx(wanted, abs=1e-4)


def test_normalisation_that_became_part_of_the_convolutions_changes_nothing_but_rounding(lite0):
    with torch.inference_mode():
        before = lite0.embed(noise(2, 3, 64, 64))
        after = fuse_batchnorm(lite0).embed(noise(2, 3, 64, 64))
    assert before.shape == (2, 1280)
    assert not [layer for layer in lite0.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)


def test_efficientnet_can_be_trained_on_other_classes():
    model = EfficientNetLite0(3, momentum=0.1)
    model(noise(4, 3, 32, 32)).sum().backward()
    assert model.dense.out_features == 3
    assert all(each.grad is not None for each in model.parameters())


def test_weights_of_another_number_of_layers_are_not_taken(state):
    with pytest.raises(ValueError, match=r"longer|shorter"):
        rename_keys(dict(list(state.items())[1:]))


def test_a_file_is_found_by_its_path_and_by_its_folder(tmp_path):
    wanted = published(tmp_path / "home")
    path = tmp_path / wanted.file
    path.write_bytes(CONTENT)
    assert weights.find(wanted, path) == weights.find(wanted, tmp_path) == path
    assert weights.find(wanted, None) == tmp_path / "home" / wanted.file
    weights.check(path, wanted)


@pytest.mark.parametrize("given", ["nowhere.pth", "."])
def test_a_path_with_nothing_there_is_named_with_what_belongs_there(tmp_path, given):
    wanted = published(tmp_path / "home", url="https://example.org/net.pth")
    with pytest.raises(TrainingError, match=r"no such file; get https://example\.org/net\.pth \(1 MB\) and put it at"):
        weights.find(wanted, tmp_path / given)


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", b""], ids=["cut", "longer", "empty"])
def test_a_file_that_is_not_whole_is_named(tmp_path, content):
    wanted = published(tmp_path)
    (tmp_path / wanted.file).write_bytes(content)
    words = rf"{wanted.file}: not the file .* begins with .*, not {wanted.digest_prefix}\); "
    with pytest.raises(TrainingError, match=words):
        weights.check(tmp_path / wanted.file, wanted)


def test_a_download_comes_whole_and_is_told(tmp_path):
    counts = []
    with serving(CONTENT) as url:
        wanted = published(tmp_path / "new" / "home", url=url)
        path = wanted.home / wanted.file
        weights.download(url, path, lambda *megabytes: counts.append(megabytes), wanted)
    assert path.read_bytes() == CONTENT
    assert counts[-1] == (1, 1)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [CONTENT[:-1], b"<html>sign in</html>"])
def test_a_download_that_is_not_the_file_leaves_nothing(tmp_path, content):
    with serving(content) as url:
        wanted = published(tmp_path, url=url)
        with pytest.raises(TrainingError, match=f"^what came from {url}: not the file"):
            weights.download(url, tmp_path / wanted.file, silent, wanted)
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_ends_early_is_an_error_that_leaves_nothing(tmp_path):
    with serving(CONTENT[:1000], len(CONTENT)) as url:
        wanted = published(tmp_path, url=url)
        with pytest.raises(TrainingError, match="not the file"):
            weights.download(url, tmp_path / wanted.file, silent, wanted)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_speaks_no_http_is_an_error_like_any_other_of_the_network(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def nonsense():
            connection, _ = server.accept()
            connection.sendall(b"220 mail.example.org ready\r\n")
            connection.close()

        threading.Thread(target=nonsense, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/net.pth"
        with pytest.raises(OSError, match="220 mail"):
            weights.download(url, tmp_path / "net.pth", silent, published(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_weights_that_come_with_a_package_are_not_said_to_be_missing_from_it_where_a_path_is_wrong(tmp_path):
    with pytest.raises(TrainingError, match="and leave out the path"):
        weights.find(published(tmp_path), tmp_path / "nowhere.pth")


def test_without_a_network_one_sentence_says_which_file_belongs_where(tmp_path):
    code = "from training import weights; weights.fetch(weights.IMAGENET, None, print)"
    error = offline(["-c", code], tmp_path).stderr.splitlines()[-1]
    for part in (
        "resnet50-0676ba61.pth cannot be fetched",
        "/resnet50-0676ba61.pth (98 MB)",
        str(tmp_path / "hub/checkpoints/resnet50-0676ba61.pth"),
        "--weights PATH",
        'weights = "PATH" in sheetsync.toml',
    ):
        assert part in error
    assert not list(tmp_path.rglob("*.pth"))


def test_a_doctor_is_told_that_weights_will_be_fetched_and_nothing_is_fetched(tmp_path):
    code = "import json; from training import weights; print(json.dumps(weights.examine(weights.IMAGENET, None)))"
    found = json.loads(offline(["-c", code], tmp_path).stdout)
    assert (found["state"], found["said"]) == (
        "note",
        "resnet50-0676ba61.pth will be fetched by the first training, 98 MB",
    )
    assert str(tmp_path) in found["todo"]
    assert list(tmp_path.iterdir()) == []


def test_a_doctor_is_told_of_weights_that_are_there():
    found = weights.examine(weights.LITE0, None)
    assert (found["state"], found["todo"]) == ("ok", "")
    assert Path(found["said"].removesuffix(" is whole")).name == "efficientnet-lite0-57934424.pth"


def test_a_doctor_is_told_of_a_path_that_is_wrong(tmp_path):
    for path, said in ((tmp_path / "nowhere", "no such file"), (Path(__file__), "not the file")):
        found = weights.examine(weights.IMAGENET, path)
        assert found["state"] == "problem"
        assert said in found["said"]
        assert found["todo"].startswith("get https://")


def test_the_command_prints_one_object(tmp_path):
    done = offline(["-m", "training.weights", "roman-resnet50"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "state": "ok",
        "said": "the recipe starts from random numbers",
        "todo": "",
    }
    unknown = offline(["-m", "training.weights", "nowhere"], tmp_path)
    assert unknown.returncode == 2
    assert "there is no recipe 'nowhere'" in unknown.stderr


def test_a_file_with_the_right_digits_that_holds_no_tensors_is_an_error(tmp_path):
    wanted = published(tmp_path)
    (tmp_path / wanted.file).write_bytes(CONTENT)
    with pytest.raises(TrainingError, match="cannot be read as weights"):
        weights.read(tmp_path / wanted.file, wanted)
