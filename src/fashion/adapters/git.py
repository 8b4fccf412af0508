"""Git: the tree as it stands, as a commit and a patch on it; and a tree of an earlier time beside this one."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from fashion.errors import GitError, LineageError
from fashion.paths import Project
from fashion.settings import secret_values

LARGEST_PATCH_BYTES = 10_000_000
"""Bytes of changed and new files that a patch holds, the smallest files first."""
SECRET = (
    *(".env", ".env.*", "*.env", ".envrc", ".netrc", ".npmrc", ".pgpass", ".pypirc", ".htpasswd", ".git-credentials"),
    *("*.key", "*.p12", "*.pem", "*.pfx", "*.jks", "*.kdbx", "*.keytab"),
    *("id_dsa*", "id_ecdsa*", "id_ed25519*", "id_rsa*"),
    *("*credential*", "*passwd*", "*password*", "*secret*", "*.token", "token", "token.*"),
)
"""Names of files and folders whose changes are never kept, whatever is in them; small and capital letters are alike."""
SECRET_PATHS = (".dvc/config", ".dvc/config.local")
"""Below the project: where passwords of DVC's remotes are written."""


@dataclass(frozen=True)
class Source:
    """The words of a project: a commit, and what in the project's folder differs from it.

    Files that git ignores are no part of it; a new file that it does not ignore is. Nor is the rest of the repository.
    """

    commit: str | None
    """None outside git, and before the first commit."""
    folder: str
    """The project's folder in the repository; empty for the repository's own."""
    changed: tuple[str, ...]
    """By their paths in the repository."""
    left_out: tuple[str, ...]
    """Changed files that are not in the patch: they may hold secrets, or would make it too large."""
    patch: bytes

    @property
    def dirty(self) -> bool | None:
        """None where there is no commit to compare with."""
        return bool(self.changed) if self.commit else None


def read_source(project: Project) -> Source:
    """Read the project's tree as it stands. Neither git's index nor its objects are touched.

    Raises:
        GitError: git is not installed, or refuses to look, as in a repository of another user.
    """
    root = find_repository(project)
    commit = _ask(root, "rev-parse", "--verify", "--quiet", "HEAD") if root else None
    if root is None or commit is None:
        return Source(None, "", (), (), b"")
    options = ("--porcelain", "-z", "--no-renames", "--untracked-files=all")
    status = os.fsdecode(_run(project.root, "status", *options, "--", "."))
    changed = sorted(entry[3:] for entry in status.split("\0") if entry)
    place = project.root.resolve().relative_to(root.resolve())
    folder = "" if place == Path() else place.as_posix()
    taken = _without_secrets(root, _fitting(root, [path for path in changed if not _may_be_secret(path, folder)]))
    return Source(
        commit=commit.strip(),
        folder=folder,
        changed=tuple(changed),
        left_out=tuple(path for path in changed if path not in taken),
        patch=_patch(root, taken) if taken else b"",
    )


def find_repository(project: Project) -> Path | None:
    """Return the top folder of the repository that the project is in, if it is in one.

    Raises:
        GitError: git is not installed, or refuses to look: its reason, with the command that it advises.
    """
    try:
        return Path(os.fsdecode(_run(project.root, "rev-parse", "--show-toplevel")).removesuffix("\n"))
    except GitError as error:
        if "not a git repository" in str(error):
            return None
        raise


def check_repository(project: Project) -> None:
    """Find out at once what DVC and `register` would stumble over later.

    Raises:
        GitError: as `find_repository`; or the project is in no repository, as after a download without git.
    """
    if find_repository(project) is None:
        raise GitError(
            f"{project.root} is not in a git repository, which DVC and the lineage of versions need. Type: "
            "git init && git add --all && git commit --message 'As downloaded', then the same command again"
        )


def once_held(project: Project, path: Path, text: str) -> bool:
    """Return whether a file holds or held the text in the commit that is checked out, or in one before it."""
    # Without --full-history git leaves out branches whose merge kept the file of the other side.
    options = ("--full-history", "--max-count=1", "--format=%H", f"-S{text}")
    return bool(_ask(project.root, "log", *options, "HEAD", "--", str(path)))


def is_shallow(project: Project) -> bool:
    """Return whether the repository lacks commits before those that it was cloned with."""
    return (_ask(project.root, "rev-parse", "--is-shallow-repository") or "").strip() == "true"


def commit_file(project: Project, path: Path, message: str) -> None:
    """Commit one file, and nothing else; nothing happens if it is as in the last commit.

    Raises:
        GitError: git refused.
    """
    if not _run(project.root, "status", "--porcelain", "--", str(path)).strip():
        return
    _run(project.root, "add", "--", str(path))
    _run(project.root, "commit", "--quiet", "--only", "--message", message, "--", str(path))


@contextmanager
def tree_of(project: Project, commit: str, patch: Path, place: Path) -> Iterator[None]:
    """Check out the repository at `commit`, with the patch on it, at `place`, for the duration of the block.

    Raises:
        LineageError: git refuses to look, the commit is not in the repository, or the patch does not fit on it.
    """
    _check_commit(project, commit)
    try:
        # Hooks of the user's, such as DVC's checkout after git's, have no business there.
        _run(project.root, "-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", str(place), commit)
        if patch.exists() and patch.stat().st_size:
            _run(place, "apply", "--whitespace=nowarn", str(patch.resolve()))
        yield
    finally:
        remove_tree(project, place)


def remove_tree(project: Project, place: Path) -> None:
    """Remove a tree of `tree_of` and git's note of it. Other worktrees, even ones out of reach now, stay."""
    shutil.rmtree(place, ignore_errors=True)
    _ask(project.root, "worktree", "remove", "--force", "--force", str(place))


def _check_commit(project: Project, commit: str) -> None:
    find_repository(project)
    if _ask(project.root, "cat-file", "-e", f"{commit}^{{commit}}") is not None:
        return
    shallow = is_shallow(project)
    command = "git fetch --unshallow" if shallow else f"git fetch origin {commit}"
    raise LineageError(
        f"Commit {commit} is not in the repository of {project.root}{', which is a shallow clone' if shallow else ''}. "
        f"Bring it with: {command} (it must have been pushed from where the version was registered)"
    )


def _may_be_secret(path: str, folder: str) -> bool:
    """Judge a path by its name and by those of the folders that it is in, from the project's folder on."""
    below = path.removeprefix(f"{folder}/").lower()
    return below in SECRET_PATHS or any(fnmatchcase(part, kind) for part in below.split("/") for kind in SECRET)


def _without_secrets(root: Path, paths: set[str]) -> set[str]:
    """Return the paths of files that contain no password known to this process, whatever their names."""
    known = [os.fsencode(value) for value in secret_values()]
    return {path for path in paths if not any(value in _content(root / path) for value in known)}


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else b""


def _fitting(root: Path, changed: list[str]) -> set[str]:
    """Return the smallest files that there is room for. A path that ends in a slash is a repository of its own."""
    sizes = {path: _size(root / path) for path in changed if not path.endswith("/")}
    taken, room = set(), LARGEST_PATCH_BYTES
    for path in sorted(sizes, key=lambda path: sizes[path]):
        room -= sizes[path]
        if room >= 0:
            taken.add(path)
    return taken


def _size(path: Path) -> int:
    return path.lstat().st_size if path.is_symlink() or path.is_file() else 0


def _patch(root: Path, paths: set[str]) -> bytes:
    """Return what `git add` of the paths would change, computed with an index and a store of objects of its own."""
    objects = root / (_ask(root, "rev-parse", "--git-path", "objects") or "").strip()
    names = os.fsencode("\0".join(sorted(paths)))
    with tempfile.TemporaryDirectory() as folder:
        own = {
            "GIT_INDEX_FILE": f"{folder}/index",
            "GIT_OBJECT_DIRECTORY": folder,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
            "GIT_LITERAL_PATHSPECS": "1",
        }
        _run(root, "read-tree", "HEAD", environment=own)
        _run(root, "add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul", environment=own, given=names)
        return _run(
            root,
            "diff-index",
            "--cached",
            "--patch",
            "--binary",
            "--full-index",
            "--no-renames",
            "HEAD",
            environment=own,
        )


def _ask(folder: Path, *arguments: str) -> str | None:
    """Return what git prints; None when the answer is no."""
    try:
        return _run(folder, *arguments).decode(errors="replace")
    except GitError:
        return None


def _run(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None, given: bytes | None = None
) -> bytes:
    try:
        result = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=folder,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
            input=given,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise GitError("git is not installed, or not on the PATH; install it") from error
    if result.returncode:
        command = " ".join(argument for argument in arguments if not argument.startswith("-"))
        raise GitError(f"git {command} failed in {folder}: {result.stderr.decode(errors='replace').strip()}")
    return result.stdout
