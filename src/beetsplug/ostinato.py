"""The beets plugin: ``beet ostinato`` and a stage of the import name genres by how music sounds.

What it changes can be undone (``beet ostinato --undo``): a changed track or album keeps the genres
from before in a field of its own. Nothing that listens is imported before something is heard.
"""

from __future__ import annotations

import itertools
import optparse
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import confuse
from beets import config, ui
from beets.dbcore import types
from beets.importer import ImportSession, ImportTask
from beets.library import Album, Item, Library
from beets.plugins import BeetsPlugin
from beets.ui import UserError  # type: ignore[attr-defined]
from beets.util import displayable_path, syspath

from ostinato.errors import OstinatoError
from ostinato.tagging.file_tags import FileTags

if TYPE_CHECKING:
    from ostinato.inference.classifier import Classifier
    from ostinato.inference.verdict import Verdict
    from ostinato.tagging.genre_map import GenreMap
    from ostinato.tagging.policy import Policy

FIELD = "genres" if "genres" in Item._fields else "genre"
"""Where this beets keeps genres: a list in current releases, one text in older ones."""

AFTER, BEFORE = "ostinato_genres", "ostinato_genres_before"
PROBABILITY, MODEL = "ostinato_probability", "ostinato_model"
OWN = {
    AFTER: types.SEMICOLON_SPACE_DSV,
    BEFORE: types.SEMICOLON_SPACE_DSV,
    PROBABILITY: types.Float(2),
    MODEL: types.STRING,
}
"""Fields of what the plugin changed: the genres it gave and found, how likely, by which model."""

SETTINGS = {
    "auto": bool,
    "force": bool,
    "policy": confuse.Choice(("only-missing", "replace", "add")),
    "threshold": confuse.Optional(confuse.Number()),
    "model": confuse.Optional(confuse.String()),
    "top": confuse.Optional(confuse.Integer()),
    "by": confuse.Choice(("album", "track")),
    "map": confuse.Optional(confuse.String()),
    "pretend": bool,
}


class Group(NamedTuple):
    """Tracks that get one verdict: those of an album, or one track (without its album)."""

    album: Album | None
    items: list[Item]

    @property
    def models(self) -> list[Item | Album]:
        """All whose genres may change."""
        return [*self.items, *([self.album] if self.album else [])]


class OstinatoPlugin(BeetsPlugin):
    """Names the genres of a beets library by listening to it."""

    item_types = album_types = OWN

    def __init__(self) -> None:
        super().__init__()
        self.config.add(
            {
                "auto": True,
                "force": False,
                "policy": "only-missing",
                "threshold": None,
                "model": None,
                "top": 1,
                "by": "album",
                "map": None,
                "pretend": False,
            }
        )
        if self.config["auto"]:
            self.import_stages = [self.imported]
            self.register_listener("import_begin", self.import_begins)

    def commands(self) -> list[ui.Subcommand]:
        """``beet ostinato``."""
        command = ui.Subcommand("ostinato", help="name genres by how the music sounds")
        add = command.parser.add_option
        add("-p", "--pretend", action="store_true", help="show what would change, change nothing")
        add("-f", "--force", action="store_true", help="replace genres that are there")
        add(
            "-a", "--albums", dest="by", action="store_const", const="album",
            help="match albums, and give each one verdict (default), and tracks without an album",
        )  # fmt: skip
        add(
            "-A", "--items", dest="by", action="store_const", const="track",
            help="match tracks, and give each a verdict of its own",
        )  # fmt: skip
        add("-w", "--write", action="store_true", help="write genres to files, too (default)")
        add("-W", "--nowrite", dest="write", action="store_false", help="leave files as they are")
        add("-u", "--undo", action="store_true", help="bring back the genres from before")
        command.func = self.command
        return [command]

    def command(self, lib: Library, options: optparse.Values, query: list[str]) -> None:
        """Name the genres of what a query matches, or bring back those from before."""
        self.config.set_args({name: getattr(options, name) for name in ("pretend", "force", "by")})
        if self.settings["by"] == "album":
            albums = (
                group for album in lib.albums(query) for group in _groups(album, album.items())
            )
            singles = (item for item in lib.items(query) if not item.album_id)
            groups: Iterator[Group] = itertools.chain(albums, _groups(None, singles))
        else:
            groups = _groups(None, lib.items(query))
        write = ui.should_write(options.write)
        if options.undo:
            self.undo(groups, write=write)
        else:
            self.tag(groups, write=write)

    def import_begins(self, session: ImportSession) -> None:
        """Say before anything is imported what is wrong with the settings."""
        self.policy, self.genre_map  # noqa: B018 - a UserError of either ends the import

    def imported(self, session: ImportSession, task: ImportTask) -> None:
        """Name the genres of what is imported; beets writes them with all other tags."""
        by_album = task.is_album and self.settings["by"] == "album"
        self.tag(_groups(task.album if by_album else None, task.imported_items()), write=False)

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration, checked: a UserError says what is wrong with it."""
        try:
            return dict(self.config.get(SETTINGS))
        except confuse.ConfigError as error:
            raise UserError(f"configuration: {error}") from error

    @property
    def policy(self) -> Policy:
        """What is done to genres that are there, and which of a verdict count."""
        from ostinato.tagging.policy import ONLY_MISSING, REPLACE, Policy

        settings = self.settings
        what = settings["policy"]
        if settings["force"] and what == ONLY_MISSING:
            what = REPLACE
        try:
            return Policy(what=what, min_probability=settings["threshold"], top=settings["top"])
        except OstinatoError as error:
            raise UserError(f"configuration: ostinato: {error}") from error

    @cached_property
    def classifier(self) -> Classifier:
        """The model; a UserError says why it cannot be loaded."""
        from ostinato.inference.classifier import Classifier

        try:
            return Classifier.load(self.settings["model"])
        except OstinatoError as error:
            raise UserError(str(error)) from error

    @cached_property
    def genre_map(self) -> GenreMap:
        """What the model's genres are called; a UserError says why it cannot be read."""
        from ostinato.tagging.genre_map import PLAYERS, load_map

        try:
            return load_map(self.settings["map"] or PLAYERS, genres=self.classifier.info.genres)
        except OstinatoError as error:
            raise UserError(str(error)) from error

    def tag(self, groups: Iterable[Group], *, write: bool) -> None:
        """Hear what the policy may change, several files side by side, and store the genres."""
        from ostinato.inference.verdict import mean_of

        policy = self.policy
        wanted = (
            g
            for g in groups
            if g.items and any(policy.may_change(_tags(model)) for model in g.models)
        )
        for group, verdicts in self._heard(wanted):
            if not verdicts:
                continue
            verdict = mean_of(list(verdicts.values()))
            row = policy.decide(Path(), FileTags(), verdict, self.genre_map)
            if row.action == "abstain":
                self._log.info("{}: no genre: {}", _label(group.models[-1]), row.why)
                continue
            for model in group.models:
                if isinstance(model, Album) or model.id in verdicts:
                    row = policy.decide(Path(), _tags(model), verdict, self.genre_map)
                    if row.action == "write":
                        self._change(model, row.new, verdict, write=write)

    def undo(self, groups: Iterable[Group], *, write: bool) -> None:
        """Bring back the genres from before; what was changed since is left, and told."""
        for model in (model for group in groups for model in group.models):
            if (after := _own(model, AFTER)) is None:
                continue
            if _genres(model) != after:
                self._log.warning("{}: its genres were changed since, and are left", _label(model))
                continue
            _set_genres(model, _own(model, BEFORE))
            for name in OWN:
                del model[name]
            self._store(model, write=write)

    def _heard(self, groups: Iterable[Group]) -> Iterator[tuple[Group, dict[int | None, Verdict]]]:
        """Each group with the verdicts by its tracks' ids, without files that cannot be heard."""
        begun: deque[Group] = deque()

        def paths() -> Iterator[Path]:
            for group in groups:
                begun.append(group)
                yield from (Path(syspath(item.path)) for item in group.items)

        results = self.classifier.classify_many(paths(), jobs=None if config["threaded"] else 1)
        n = 0
        verdicts: dict[int | None, Verdict] = {}
        for _, result in results:
            item = begun[0].items[n]
            n += 1
            if isinstance(result, OstinatoError):
                self._log.error("{}", result)
            else:
                verdicts[item.id] = result
            if n == len(begun[0].items):
                yield begun.popleft(), verdicts
                n, verdicts = 0, {}

    def _change(
        self, model: Item | Album, genres: Iterable[str], verdict: Verdict, *, write: bool
    ) -> None:
        """Give a track or album these genres, and keep those from before.

        What was there before the plugin came stays so when it comes again.
        """
        old = _genres(model)
        if _own(model, AFTER) != old:
            model[BEFORE] = old
        _set_genres(model, list(genres))
        model[AFTER] = _genres(model)
        model[PROBABILITY], model[MODEL] = verdict.probability, verdict.model
        self._store(model, write=write)

    def _store(self, model: Item | Album, *, write: bool) -> None:
        """Show a change, and store it unless that is all that is asked for."""
        ui.show_model_changes(model, fields=[FIELD])
        if self.settings["pretend"]:
            return
        if isinstance(model, Album):
            model.store(inherit=False)  # each track has been decided on by its own genres
        else:
            model.try_sync(write=write, move=False)


def _groups(album: Album | None, items: Iterable[Item]) -> Iterator[Group]:
    """An album as one group; else each track alone, as in a folder of tracks without an album."""
    if album is not None and album.album:
        yield Group(album, list(items))
    else:
        yield from (Group(None, [item]) for item in items)


def _label(model: Item | Album) -> str:
    """What beets prints of a track or album; its path if it says nothing of itself."""
    text = str(model)
    return text if text.strip(" -") else displayable_path(model.path)


def _own(model: Item | Album, name: str) -> Any:
    """A field of the plugin's; None if there is none, whatever a track's album has."""
    return model.get(name, with_album=False) if isinstance(model, Item) else model.get(name)


def _genres(model: Item | Album) -> list[str]:
    value = model.get(FIELD) or []
    return value.split(", ") if isinstance(value, str) else list(value)


def _set_genres(model: Item | Album, genres: list[str]) -> None:
    model[FIELD] = genres if FIELD == "genres" else ", ".join(genres)


def _tags(model: Item | Album) -> FileTags:
    return FileTags(genres=tuple(_genres(model)))
