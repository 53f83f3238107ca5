"""The README is true: its code runs as printed, and the numbers in it are today's."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tinygrad_cnn import models, nn
from tinygrad_cnn.errors import ShapeError
from tinygrad_cnn.verify import CASES, CHECKS, all_ops
from tinygrad_cnn.verify.checks import applies

from .mutation.mutants import mutants_of

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_code_runs_and_learns(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 4
    script = tmp_path / "readme.py"
    checks = [
        "assert tg.cross_entropy(net(images), labels).item() < 1.5",
        "assert h.tolist() == (6 * x0).tolist()",
    ]
    source = "\n".join([*blocks, *checks]).replace("y = (x @ x.T)", "x0 = x.detach().clone()\ny = (x @ x.T)")
    script.write_text(source, encoding="utf-8")
    # One BLAS thread: the tests may share the machine.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=environment, check=True, timeout=1800)
    ElementTree.parse(tmp_path / "lenet.svg")


def test_its_pictures_are_in_the_repository() -> None:
    for picture in re.findall(r'<img src="([^"]+)"', README):
        if picture.endswith(".svg"):
            ElementTree.parse(ROOT / picture)
        else:
            assert (ROOT / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["ledger", "why_zero", "check"])
def test_what_it_prints_is_what_docs_make_pictures_wrote(name: str) -> None:
    assert (ROOT / "docs" / "pictures" / f"{name}.txt").read_text(encoding="utf-8") in README


def test_screenshots_are_small() -> None:
    pictures = list((ROOT / "docs" / "pictures").glob("*.png"))
    assert len(pictures) >= 7
    assert max(picture.stat().st_size for picture in pictures) < 250_000


def test_its_verify_table_is_todays() -> None:
    checks = sum(applies(name, case) for case in CASES for name in CHECKS)
    assert f"{len(all_ops())} ops, {len(CASES)} cases, {checks} checks, 0 problems" in README


def test_its_number_of_mutants_is_todays() -> None:
    assert f"({sum(1 for op in all_ops() for _ in mutants_of(op))} mutants)" in README


def test_its_table_of_networks_is_todays() -> None:
    (section,) = re.findall(r"## The networks\n(.*?)\n## ", README, re.DOTALL)
    rows = {name: int(count.replace(",", "")) for name, count in re.findall(r"`(\w+)` ([\d,]*\d)", section)}
    assert rows == {entry.name: entry.parameters for entry in models.entries()}


def test_its_plan_is_todays() -> None:
    with pytest.raises(ShapeError) as refused:
        nn.plan(nn.utils.skip_init(models.AlexNetPaper), (3, 224, 224))
    assert f"```\n{refused.value}\n```" in README


@pytest.mark.parametrize(
    "command", ["demo", "models", "summary", "graph", "profile", "train", "resume", "eval", "verify", "version"]
)
def test_its_commands_exist(command: str) -> None:
    from tinygrad_cnn.cli import main

    assert f"tinygrad-cnn {command}" in README
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0


def test_every_dependency_has_its_reason() -> None:
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    required = re.findall(r"^    ([a-zA-Z][a-zA-Z0-9-]*)[><=]", setup, re.MULTILINE)
    assert len(required) > 15
    assert [name for name in required if f"`{name}`" not in README] == []
