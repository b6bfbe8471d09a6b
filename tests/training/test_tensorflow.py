"""How TensorFlow is started: quietly, and without taking a whole GPU."""

from __future__ import annotations

import subprocess
import sys

import pytest

START = """
import sys
from pyxem_mlmaps.training._tensorflow import start_tensorflow
start_tensorflow()
import tensorflow as tf
gpus = tf.config.list_physical_devices("GPU")
print(len(gpus), all(tf.config.experimental.get_memory_growth(gpu) for gpu in gpus))
print("an error of the user's", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def start():
    """A new process: TensorFlow starts once."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", START], capture_output=True, text=True, check=True
    )


def test_nothing_is_logged_and_later_errors_are(start):
    assert start.stderr.strip() == "an error of the user's"


def test_memory_of_a_gpu_grows_with_need(start):
    number, growing = start.stdout.split()
    if number == "0":
        pytest.skip("TensorFlow sees no GPU here")
    assert growing == "True"
