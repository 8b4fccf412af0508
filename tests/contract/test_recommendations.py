"""Every command that a message, a summary or a page recommends is typed by a test, in the state in which it is named.

Such a test bears the mark `advice(command, file, ...)`: in the state in which these files of the sources recommend the
command, it does what the command says and sees what comes of it.
"""

import ast
import re
from collections.abc import Iterator

from typer.main import get_command

from fashion.cli import app
from tests.projects import SOURCE

TESTS = SOURCE / "tests"
OURS = set(get_command(app).commands)
THEIRS = {
    "make": set(re.findall(r"^([a-z]+):", (SOURCE / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)),
    "dvc": {"add", "checkout", "gc", "pull", "push", "remote", "repro"},
    "git": {"add", "checkout", "clone", "commit", "config", "fetch", "init", "pull"},
    "prefect": {"deployment"},
}
PLAIN = {"chown": "-R", "df": "-h", "export": "[A-Z]", "rm": "[.{]", "source": r"\{", "unset": r"[A-Z{]"}
"""Programs whose names are words of English, too, and how their arguments begin."""
PROGRAMS = "|".join(
    [
        r"fashion [a-z]+(?:-[a-z]+)*(?![\w|/-])",
        *(f"{name} (?:{'|'.join(sorted(words))})(?![\\w|/-])" for name, words in THEIRS.items()),
        *(f"{name} (?={begins})" for name, begins in PLAIN.items()),
    ]
)
COMMAND = re.compile(rf"(?<![\w./-])((?:{PROGRAMS})[^\n;:()`'\"&,]*)")
MENTIONED = {
    ("batch/folder.py", "fashion predict"): "who holds the folder of the answers",
    ("adapters/predictions/collecting.py", "fashion collect"): "who has the turn",
    ("cli/__init__.py", "dvc repro"): "--help says what runs the stages",
    ("cli/__init__.py", "make run"): "--help says what runs the stages",
    ("cli/collection.py", "fashion collect"): "who holds the training slot",
    ("cli/pipeline.py", "fashion fetch"): "who holds the training slot",
    ("adapters/studies/storage.py", "fashion tune"): "who holds the study",
    ("adapters/tracking/descriptions.py", "fashion tune"): "what makes the runs of an experiment",
    ("cli/starting.py", "fashion backbone"): "who holds the training slot",
    ("cli/learning.py", "fashion learning-curve"): "who holds the training slot",
    ("cli/starting.py", "fashion start-from"): "who holds the training slot",
    ("cli/tuning.py", "fashion tune"): "who holds the training slot",
    ("experiments/adopt.py", "fashion tune"): "the comment says where a recipe comes from",
    ("cli/intake.py", "make run"): "what comes next: the same as before an import",
    ("intake/parameters.py", "fashion import"): "the comment says where a recipe comes from",
    ("intake/suites.py", "fashion import"): "the suites say where their limits come from",
    ("cli/simulation.py", "fashion serve"): "the option's --help says whose service it is",
    ("flows/monitoring.py", "fashion monitor"): "the name of a resource of Prefect's events",
    ("flows/artifacts.py", "fashion commands"): "in which folder they are typed",
    ("flows/artifacts.py", "make run"): "where it was typed just now",
    ("flows/services/supervisor.py", "make up"): "who holds the lock",
    ("flows/links.py", "make up"): "when the page is there that it links",
    ("registry/absence.py", "fashion predict"): "what has no model to answer with",
    ("registry/absence.py", "fashion serve"): "what has no model to answer with",
    ("registry/card.py", "fashion monitor"): "what says when images are unlike those of the test set",
    ("registry/card.py", "fashion serve"): "what answers with the champion",
}
"""Commands that a text speaks of without recommending them, and why it does."""


def recommended() -> dict[tuple[str, str], str]:
    """Each (file, command) of the sources with the line on which it stands last."""
    found = {}
    for path in (*SOURCE.glob("src/fashion/**/*.py"), *SOURCE.glob("flows/**/*.py")):
        name = path.relative_to(SOURCE).as_posix().removeprefix("src/fashion/")
        for line, text in texts(ast.parse(path.read_text(encoding="utf-8"))):
            found |= {(name, command): f"{name}:{line}" for command in commands(text)}
    for name in ("Makefile", "setup.sh", "activate.sh"):
        for line, text in enumerate((SOURCE / name).read_text(encoding="utf-8").splitlines(), start=1):
            if "echo" in text:
                found |= {(name, command): f"{name}:{line}" for command in commands(text.partition("echo")[2])}
    return found


def commands(text: str) -> Iterator[str]:
    """Each command in a text: the program, what it shall do, and options; without names of files and versions."""
    for found in COMMAND.finditer(text):
        words = [re.sub(r"[.{].*", "", word) for word in found[1].split()]
        head = 1 if words[0] in PLAIN else 2
        yield " ".join([*words[:head], *(word for word in words[head:] if re.match(r"--\w|DATA=", word))])


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every text of a module but docstrings and examples, with its line; what is filled in stands in braces.

    The examples of `--help` are parsed by test_commands.py.
    """
    silent = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "epilog":
            silent.add(node.value)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            silent.add(node.value)
        if isinstance(node, ast.JoinedStr):
            silent.update(node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in silent:
            yield node.lineno, node.value


def followed() -> dict[tuple[str, str], str]:
    """Each (file, command) of a mark with the test that bears it."""
    found = {}
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for mark in getattr(node, "decorator_list", ()):
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.advice":
                    command, *files = [ast.literal_eval(argument) for argument in mark.args]
                    found |= {(file, command): f"{path.relative_to(SOURCE)}::{node.name}" for file in files}
    return found


def test_every_recommended_command_is_typed_by_a_test_in_the_state_in_which_it_is_recommended():
    tried = followed() | MENTIONED
    untried = {where: line for where, line in recommended().items() if where not in tried}
    assert not untried, "\n".join(f"{line}: {command}" for (_, command), line in untried.items())


def test_no_test_claims_to_type_what_nothing_recommends():
    known = recommended()
    assert not {where: test for where, test in followed().items() if where not in known}
    assert MENTIONED.keys() <= known.keys()


def test_a_recommended_command_exists():
    named = {command.split()[1] for _, command in recommended() if command.startswith("fashion ")}
    assert named <= OURS | {"commands"}


def test_commands_are_found_in_messages_and_words_are_not():
    text = "make it with: dvc repro --force train; or fashion serve --port 3, then make run DATA=synthetic."
    assert list(commands(text)) == ["dvc repro --force", "fashion serve --port", "make run DATA=synthetic"]
    assert list(commands("make room, remove the source of it, or export again. See docs/make up")) == []
