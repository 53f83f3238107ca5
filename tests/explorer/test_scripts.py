"""The page's scripts: their own tests, under Node.js, and the bundle that they become."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tinygrad_cnn.explorer.page import SCRIPTS, asset, bundle

HERE = Path(__file__).parent


@pytest.fixture
def node():
    found = shutil.which("node")
    if found is None:
        pytest.fail("the explorer's scripts are tested with Node.js 18 or later: apt-get install nodejs")
    return found


def test_the_scripts_pass_their_own_tests(node):
    done = subprocess.run([node, "--test", str(HERE)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_types_written_in_the_scripts_comments_hold():
    compiler = shutil.which("tsc")
    if compiler is None:
        pytest.fail("TypeScript checks the types in the scripts' comments: apt-get install node-typescript")
    done = subprocess.run([compiler, "--project", str(HERE)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout


def test_the_bundle_is_one_script_that_parses(node, tmp_path):
    text = bundle()
    assert not re.search(r"^(import|export)\b", text, re.MULTILINE)
    script = tmp_path / "bundle.mjs"
    script.write_text(text, encoding="utf-8")
    done = subprocess.run([node, "--check", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_script_imports_only_from_those_before_it():
    for i, name in enumerate(SCRIPTS):
        imported = re.findall(r'^(?:import|\}) .*from "\./(.*)";', asset(name), re.MULTILINE)
        assert set(imported) <= set(SCRIPTS[:i]), name


def test_every_word_that_the_page_asks_for_exists():
    words = set(re.findall(r"^    (\w+):", asset("words.mjs"), re.MULTILINE))
    asked = {word for name in SCRIPTS for word in re.findall(r'\bsay\("(\w+)"', asset(name))}
    asked |= set(re.findall(r'data-(?:say|label)="(\w+)"', asset("page.html")))
    assert asked <= words
