"""The roster: every key of every fleet, as facts. What only shows across settings is judged on the way.

    for each fleet:   key entries ─┐
                                   ├─▶ terms (lane, source, policy), once for equal overrides ─▶ DesiredKey
                      key list ────┘

A roster holds the settings and the text of key lists, not the keys: it makes them anew each time it is walked, so that
a fleet of 1,000,000 costs its text and no more. Judging walks it once with the problems open; then there are none.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple, ParamSpec, TypeVar

from byokd.config.check import KeyEntries, sound_policy
from byokd.config.documents import Document, dotted
from byokd.config.inherit import Complaint, chosen, whole_policy
from byokd.config.key_list import MAX_BYTES, SEVERAL, KeyList, Row, policy_settings, read_header
from byokd.config.locate import Path as SettingPath
from byokd.config.names import ParsedName, parse_name, partition
from byokd.config.problems import Place, Problems, Unfit, did_you_mean, quoted
from byokd.config.replicas import replicas_of
from byokd.config.schema import MAX_MATERIALS, ConfigFile, FleetSettings, PolicySettings, SourceSettings
from byokd.decide.wrapping import wrapping
from byokd.facts.key import Absent, KeyRef, LaneId
from byokd.facts.kinds import kinds_in
from byokd.facts.policy import DesiredKey, Lane, Policy

MAX_PROBLEMS: Final = 100
"""Of one key list. A list with more is wrong as a whole."""

_NOTHING: Final = PolicySettings()
_DEFAULTS, _KEY = 0, 2
"""The outermost and innermost layer of inheritance; the fleet stands between."""
_P = ParamSpec("_P")
_R = TypeVar("_R")


class Found(NamedTuple):
    """A key and where it is written."""

    place: Place
    where: str
    key: DesiredKey
    primary: DesiredKey | None = None
    """Of a key that is written as the replica of another one."""


@dataclass(slots=True)
class Roster:
    """The keys of a config; walk it as often as you like."""

    document: Document
    file: ConfigFile
    entries: KeyEntries
    lanes: Mapping[str, Lane]
    lists: dict[str, KeyList] = field(default_factory=dict)
    """By fleet."""
    policies: dict[Policy, Policy] = field(default_factory=dict)
    """Equal policies are one object: few differ, however many keys there are."""
    judged: bool = False
    """Whether the lists were read and every key was judged."""

    def __iter__(self) -> Iterator[DesiredKey]:
        return (found.key for found in self.walk(Problems()))

    def replicas(self) -> Iterator[tuple[DesiredKey, DesiredKey]]:
        """Every key that is written as a replica, behind its primary."""
        return ((found.primary, found.key) for found in self.walk(Problems()) if found.primary is not None)

    @property
    def list_files(self) -> tuple[Path, ...]:
        """The key lists that the fleets name."""
        return tuple(fleet.keys_csv for fleet in self.file.fleets.values() if fleet.keys_csv is not None)

    def unread(self) -> Roster:
        """The same before any list was read."""
        return Roster(document=self.document, file=self.file, entries=self.entries, lanes=self.lanes)

    def judge(self, problems: Problems) -> None:
        """Read the lists and judge every key, noting what is wrong, keys that are named twice too."""
        self._read_lists(problems)
        if suspects := _repeated(hash(found.key.ref) for found in self.walk(problems)):
            self._tell_duplicates(suspects, problems)
        self.judged = True

    def _tell_duplicates(self, suspects: set[int], problems: Problems) -> None:
        """Note each key that is named twice; `suspects` has the hashes of all such refs, and may have others."""
        first: dict[KeyRef, Found] = {}
        told = 0
        for found in self.walk(Problems()):
            if hash(found.key.ref) not in suspects:
                continue
            there = first.setdefault(found.key.ref, found)
            if (there.place, there.where) == (found.place, found.where):
                continue
            if told == MAX_PROBLEMS:
                hint = "correct those above first"
                problems.add(found.place, found.where, "more keys are named twice", hint)
                return
            told += 1
            what = f"{found.key.name} is the same key as in {there.place}"
            problems.add(found.place, found.where, what, "keep one of the two")

    def _read_lists(self, problems: Problems) -> None:
        """Read the key lists that the fleets name."""
        for name, fleet in self.file.fleets.items():
            if fleet.keys_csv is None:
                continue
            path = ("fleets", name, "keys_csv")
            place = self.document.place(path)
            text = self.document.text(fleet.keys_csv, place, dotted(path), problems, max_bytes=MAX_BYTES)
            if text is not None and (listed := read_header(fleet.keys_csv, text, dotted(path), problems)):
                self.lists[name] = listed

    def written(self, table: str) -> list[str]:
        """The names in `[lanes]` or `[sources]` as they are written, sound or not."""
        names = self.document.data.get(table)
        return list(names) if isinstance(names, dict) else []

    def walk(self, problems: Problems) -> Iterator[Found]:
        """Every sound key; what is not sound is noted and left out."""
        for complaint in whole_policy((self.file.defaults,))[1]:
            path = ("defaults", complaint.setting)
            problems.add(self.document.place(path), dotted(path), complaint.what, complaint.hint)
        for name, fleet in self.file.fleets.items():
            yield from _Fleet(self, name, fleet, problems).keys()


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key as written."""

    key: str
    material: str | None
    place: Place
    where: str
    materials: tuple[str, ...] = ()
    """All of them, where there are several."""
    replicas: tuple[str, ...] = ()
    """Names of lanes."""
    path: SettingPath = ()
    """Empty for a row of a key list, whose settings all stand in one line."""

    def at(self, setting: str, document: Document) -> tuple[Place, str]:
        """Where one of its settings stands."""
        place = document.place((*self.path, setting)) if self.path else self.place
        return place, f"{self.where}.{setting}"


_Wrong = tuple[tuple[str, str, str], ...]
"""What is wrong with a row, as (setting, what, hint)."""


@dataclass(frozen=True, slots=True)
class _Terms:
    """What equal overrides in one fleet come to. Complaints say why they cannot be used."""

    policy: Policy
    lane: str | None
    source: str | None
    wrapping_layer: int
    """The layer that says `wrapping_algorithm`."""
    complaints: tuple[Complaint, ...]


class _Fleet:
    """One walk over one fleet."""

    def __init__(self, roster: Roster, name: str, settings: FleetSettings, problems: Problems) -> None:
        self._roster = roster
        self._name = name
        self._settings = settings
        self._problems = problems
        self._by_id = {lane.id: lane for lane in roster.lanes.values()}
        self._terms: dict[Hashable, _Terms] = {}
        self._row_terms: dict[tuple[str, ...], _Terms | _Wrong] = {}
        self._judged: dict[LaneId, set[Policy]] = {}
        """Policies whose wrapping was judged, by lane."""

    def keys(self) -> Iterator[Found]:
        """Its sound keys: those of the TOML files first, then those of the list."""
        # A fleet without keys, or all of whose keys say otherwise, is judged all the same.
        for complaint in self._terms_of(_NOTHING).complaints:
            self._complain(complaint, None)
        for path, settings in self._roster.entries.get(self._name, ()):
            entry = _Entry(settings.key, settings.material, self._roster.document.place(path), dotted(path), path=path)
            if settings.materials is not None:
                entry = replace(entry, materials=settings.materials)
            if settings.replicas is not None:
                entry = replace(entry, replicas=settings.replicas)
            yield from self._family(entry, self._terms_of(settings))
        if listed := self._roster.lists.get(self._name):
            yield from self._listed(listed)

    def _listed(self, listed: KeyList) -> Iterator[Found]:
        where = f"fleets.{self._name}.keys_csv"
        before = len(self._problems)
        file = str(listed.file)
        columns = listed.policy_columns
        for row in listed.rows(where, self._problems):
            if len(self._problems) - before >= MAX_PROBLEMS:
                hint = "correct those above first"
                self._problems.add(Place(file, row.line), where, "the rest of the list was not judged", hint)
                return
            entry = _Entry(row.key, row.material, Place(file, row.line), where)
            if row.material is not None and SEVERAL in row.material:
                entry = replace(entry, material=None, materials=tuple(row.material.split(SEVERAL)))
            if row.replicas:
                entry = replace(entry, replicas=tuple(each.strip() for each in row.replicas.split(SEVERAL)))
            terms = self._terms_of_row(row, columns)
            if isinstance(terms, _Terms):
                yield from self._family(entry, terms)
                continue
            for setting, what, hint in terms:
                self._problems.add(*entry.at(setting, self._roster.document), what, hint)

    def _terms_of_row(self, row: Row, columns: tuple[str, ...]) -> _Terms | _Wrong:
        """The terms of a row, or its problems."""
        known = self._row_terms.get(row.policy)
        if known is None:
            settings, wrong = sound_policy(policy_settings(columns, row.policy))
            known = tuple(wrong) if settings is None else self._terms_of(settings)
            self._row_terms[row.policy] = known
        return known

    def _terms_of(self, settings: PolicySettings) -> _Terms:
        overrides = tuple(getattr(settings, name) for name in PolicySettings.model_fields)
        known = self._terms.get(overrides)
        if known is None:
            known = self._judge((self._roster.file.defaults, self._settings, settings))
            self._terms[overrides] = known
        return known

    def _judge(self, layers: tuple[PolicySettings, PolicySettings, PolicySettings]) -> _Terms:
        policy, complaints = whole_policy(layers)
        found = list(complaints)
        named: dict[str, str | None] = {}
        for setting, table in (("lane", "lanes"), ("source", "sources")):
            name, layer = chosen(layers, setting)
            written = self._roster.written(table)
            # One that is written but not sound has been told already: it counts as known.
            if name is not None and name not in written:
                hint = did_you_mean(name, written, nothing=f"add [{table}.{name}]")
                what = f"there is no {setting} {quoted(name)}"
                found.append(Complaint(layer=layer, setting=setting, what=what, hint=hint))
            named[setting] = name
        shared = self._roster.policies.setdefault(policy, policy)
        source = named["source"] or _only(self._roster.written("sources"))
        return _Terms(shared, named["lane"], source, chosen(layers, "wrapping_algorithm")[1], tuple(found))

    def _complain(self, complaint: Complaint, entry: _Entry | None) -> None:
        """Note a complaint where its layer is written."""
        if complaint.layer == _KEY and entry is not None:
            place, where = entry.at(complaint.setting, self._roster.document)
        else:
            path = ("defaults",) if complaint.layer == _DEFAULTS else ("fleets", self._name)
            place = self._roster.document.place((*path, complaint.setting))
            where = dotted((*path, complaint.setting))
        self._problems.add(place, where, complaint.what, complaint.hint)

    def _family(self, entry: _Entry, terms: _Terms) -> Iterator[Found]:
        """A key and, where it has some, its replicas: the same key in other lanes."""
        if (found := self._found(entry, terms)) is None:
            return
        yield found
        if entry.replicas:
            lanes, written = self._roster.lanes, self._roster.written("lanes")
            for key in self._tried(entry, "replicas", replicas_of, found.key, entry.replicas, lanes, written) or ():
                yield Found(entry.place, entry.where, key, found.key)

    def _found(self, entry: _Entry, terms: _Terms) -> Found | None:
        """The key, or None with its problems noted."""
        for complaint in terms.complaints:
            self._complain(complaint, entry)
        name = self._tried(entry, "key", parse_name, entry.key)
        lane = None if name is None else self._tried(entry, "key", self._lane, name, terms)
        source = self._tried(entry, "source", self._source, terms)
        if lane is not None and terms.policy not in self._judged.setdefault(lane.id, set()):
            self._judged[lane.id].add(terms.policy)
            self._judge_wrapping(lane, terms, entry)
        locators = None if source is None else self._locators(entry, source, name)
        if terms.complaints or name is None or lane is None or terms.source is None or locators is None:
            return None
        ref, arn = name.in_lane(lane)
        key = DesiredKey(
            ref=ref,
            lane=lane.id,
            name=name.name,
            arn=arn,
            fleet=self._name,
            source=terms.source,
            locator=locators[0],
            policy=terms.policy,
            further=locators[1:],
        )
        return Found(entry.place, entry.where, key)

    def _locators(self, entry: _Entry, source: SourceSettings, name: ParsedName | None) -> tuple[str, ...] | None:
        """Where the source finds the key's materials; None with the problem noted."""
        if not entry.materials:
            if name is None and entry.material is None:
                return None
            short = "" if name is None else name.short
            one = self._tried(entry, "material", source.locator, entry.material, short)
            return None if one is None else (one,)
        return self._tried(entry, "materials", self._several, entry, source)

    def _several(self, entry: _Entry, source: SourceSettings) -> tuple[str, ...]:
        """The materials of an entry that names several. Raises: Unfit."""
        if entry.material is not None:
            raise Unfit("stands beside material", "keep one of the two: materials names all of them")
        if len(entry.materials) > MAX_MATERIALS:
            raise Unfit(f"names {len(entry.materials)} materials", f"a key has {MAX_MATERIALS} in its life at most")
        locators = tuple(source.locator(written, "") for written in entry.materials)
        twice = next((each for each in locators if locators.count(each) > 1), None)
        if twice is not None:
            raise Unfit(f"names {quoted(twice)} twice", "each material of a key is another one")
        return locators

    def _judge_wrapping(self, lane: Lane, terms: _Terms, entry: _Entry) -> None:
        """Note a wrapping that AWS refuses for every kind of key where the lane is; what fits a key, its spec tells."""
        kinds = kinds_in(partition(lane.region)).values()
        if not any(wrapping(kind, terms.policy) for kind in kinds):
            what = f"AWS takes {terms.policy.wrapping_algorithm} for no key in {lane.region}"
            hint = "leave it out, and byokd chooses"
            layer = terms.wrapping_layer
            self._complain(Complaint(layer=layer, setting="wrapping_algorithm", what=what, hint=hint), entry)

    def _tried(
        self, entry: _Entry, setting: str, what: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs
    ) -> _R | None:
        """The answer of `what`, or None with the problem noted at one of the entry's settings."""
        try:
            return what(*args, **kwargs)
        except Unfit as unfit:
            self._problems.add(*entry.at(setting, self._roster.document), unfit.what, unfit.hint)
            return None

    def _source(self, terms: _Terms) -> SourceSettings | None:
        """The source that a key's material comes from; None where it is not sound, which has been told.

        Raises:
            Unfit: none is named, and there is not just one.
        """
        if terms.source is None:
            raise Unfit("is missing, and there is not just one to take", "name one of [sources]")
        return self._roster.file.sources.get(terms.source)

    def _lane(self, name: ParsedName, terms: _Terms) -> Lane | None:
        """The lane that a key belongs to; None where that lane is not sound, which has been told.

        Raises:
            Unfit: there is no such lane, or the key's ARN is of another account or Region.
        """
        lanes = self._roster.lanes
        if terms.lane is not None:
            lane = lanes.get(terms.lane)
            if lane is None or isinstance(name.lane, Absent) or name.lane == lane.id:
                return lane
            right = self._by_id.get(name.lane)
            hint = f'did you mean lane = "{right.name}"?' if right else "correct the ARN, or add a lane for it"
            raise Unfit(f"is in {name.lane}, but its lane {lane.name} is {lane.id}", hint)
        written = self._roster.written("lanes")
        if isinstance(name.lane, Absent):
            if only := _only(written):
                return lanes.get(only)
            raise Unfit(
                "needs a lane: only an ARN tells its own", 'add lane = "..." here, to the fleet or to [defaults]'
            )
        if name.lane not in self._by_id and len(written) == len(lanes):
            raise Unfit(f"is in {name.lane}, and no lane is", "add a lane with this account and region")
        return self._by_id.get(name.lane)


def _repeated(hashes: Iterable[int]) -> set[int]:
    """Those that come more than once.

    Eight bytes for each: a set of a million names would take some hundred megabytes, of which Python gives few back.
    """
    buckets = [array("q") for _ in range(256)]
    for each in hashes:
        buckets[each & 255].append(each)
    found: set[int] = set()
    for bucket in buckets:
        if len(set(bucket)) < len(bucket):
            found.update(each for each, times in Counter(bucket).items() if times > 1)
    return found


def _only(names: list[str]) -> str | None:
    return names[0] if len(names) == 1 else None
