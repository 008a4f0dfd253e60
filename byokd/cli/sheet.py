"""`byokd show`: one key on one page, from what matters now to what was agreed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from byokd.cli.durations import ago, humane
from byokd.cli.listing import stdout, text
from byokd.cli.rows import GONE, SEVERITY_STYLES, TIER_STYLES, asked, seconds_until, time_left

Document = dict[str, Any]
Line = tuple[str, Text]


def print_sheet(key: Document, at: str) -> None:
    """Print the page on stdout."""
    console = stdout()
    for name, value in lines(key, at):
        console.print(Text.assemble((f"{name:<14}", "bold"), value), soft_wrap=True)


def lines(key: Document, at: str) -> Iterator[Line]:
    """The page, line by line; a name is left out where the line goes on with the one above."""
    yield "key", text(key["name"], "bold")
    if key["arn"] not in (None, key["name"]):
        yield "arn", text(key["arn"])
    yield "fleet", text(f"{key['fleet']}, lane {key['lane']}")
    yield from _decision(key["decision"], at)
    for each in key["conditions"]:
        style = SEVERITY_STYLES.get(each["severity"], "")
        yield each["severity"], text(f"{each['kind']}, since {_since(each['since'], at)}: {each['detail']}", style)
    for each in key["orders"]:
        yield "order", text(_order(each))
    for each in (key, *key["further"]):
        for name in ("open_import", "refused_import"):
            if each[name] is not None:
                yield name.replace("_", " "), text(_import(each[name], at))
    yield from _view(key["view"], at)
    yield from _family(key["multi_region"])
    yield from _rotation(key["rotation"], at)
    yield from _ours(key, at)
    for each in (key, *key["further"]):
        yield "source", text(_source(each["source"], at))
    yield "policy", text(_policy(key["policy"]))


def _decision(decision: Document | None, at: str) -> Iterator[Line]:
    if decision is None:
        yield "next", text("byokd has not decided anything about it yet")
        return
    style = TIER_STYLES.get(decision["tier"], "")
    was = "its ValidTo was " if decision["tier"] in GONE else ""
    end = f" ({was}{decision['expires_at']})" if seconds_until(decision["expires_at"], at) is not None else ""
    yield "state", text(decision["state"])
    yield "time left", text(f"{time_left(decision, at)}{end}, tier {decision['tier']}", style)
    yield "next", text(f"{decision['reason']}: {decision['message']}")
    yield "looks again", text(ago(-(seconds_until(decision["due_at"], at) or 0)))


def _view(view: Document, at: str) -> Iterator[Line]:
    seen, blind = view["seen"], view["blind"]
    if blind is not None:
        told = f"{blind['code']}, {blind['failures']} times since {blind['since']}: {blind['error']}"
        yield "cannot look", text(told, "bold red")
    if seen is None:
        yield "seen", text("never")
        return
    told = f"{_since(seen['at'], at)}: {seen['state']}, {seen['origin']}, {seen['spec']}"
    yield "seen", text(told + (f", deleted at {seen['deletion_at']}" if seen["deletion_at"] else ""))
    for each in seen["materials"]:
        yield "material", text(f"{each['id']}  {each['state']}, {_shown(each, at)}")


def _shown(material: Document, at: str) -> str:
    """Until when KMS showed it; a reading from before its end does not show that it ended."""
    if not material["imported"]:
        return "not imported"
    left = seconds_until(material["expires_at"], at)
    if left is not None and left <= 0:
        return f"ended {_since(material['expires_at'], at)}"
    return f"until {material['expires_at']}"


def _family(family: Document | None) -> Iterator[Line]:
    if family is None:
        return
    relatives = family["relatives"]
    yield "multi-Region", text(f"{family['role']}, with {len(relatives)} other{'s' if len(relatives) != 1 else ''}")
    for each in relatives:
        role = "primary" if each["arn"] == family["primary"] else "replica"
        told = "in no fleet" if each["key"] is None else f"{each['state']}, {each['message']}"
        yield role, text(f"{each['region']}: {told}", "yellow" if each["key"] is None else "")


def _rotation(rotation: Document | None, at: str) -> Iterator[Line]:
    """Only of keys that are rotated by period, or have been before."""
    if rotation is None or (rotation["rotates_at"] is None and not rotation["used"]):
        return
    due = rotation["rotates_at"]
    by_period = "" if due is None else f", to be rotated {_since(due, at)}"
    left = f"{rotation['left']} rotation{'' if rotation['left'] == 1 else 's'} left"
    yield "rotation", text(f"current since {rotation['current_since']}{by_period}, {left}")


def _ours(key: Document, at: str) -> Iterator[Line]:
    renewals = f", {key['decision']['renewals']} in all" if key["decision"] else ""
    latest = max(filter(None, (each["last_success_at"] for each in (key, *key["further"]))), default=None)
    done = "never" if latest is None else _since(latest, at)
    yield "last import", text(done + renewals)
    yield from _probe(key, latest, at)
    for number, each in enumerate(materials := (key, *key["further"]), start=1):
        if each["lost_at"] is not None:
            which = f"material {number} of {len(materials)}" if key["further"] else "material"
            was = "" if each["last_expiry"] is None else f", its ValidTo was {each['last_expiry']}"
            yield "lost", text(f"{which} seen gone {_since(each['lost_at'], at)}{was}", "bold red")


def _probe(key: Document, latest: str | None, at: str) -> Iterator[Line]:
    """What came of using the key after its last import, where its policy asks for that."""
    probe = key["probe"]
    if probe is None:
        if key["policy"]["probe"]:
            yield "probe", text("not tried yet: the key is used once after an import")
        return
    older = "" if probe["of_import_at"] == latest else ", of an earlier import"
    if probe["works"]:
        yield "probe", text(f"{_since(probe['at'], at)}{older}: the key does what it is for")
        return
    times = f"{probe['failures']} time{'s' if probe['failures'] != 1 else ''}"
    yield "probe", text(f"failed {times}, last {_since(probe['at'], at)}{older}: {probe['error']}", "red")


def _since(stamp: str, at: str) -> str:
    return f"{ago(-(seconds_until(stamp, at) or 0))} ({stamp})"


def _order(order: Document) -> str:
    until = f" until {order['until']}" if order["until"] else ""
    why = f": {order['why']}" if order["why"] else ""
    return f"{asked(order)}{until} by {order['by']} at {order['created_at']}{why}"


def _import(row: Document, at: str) -> str:
    told = f"{row['state']}, {row['reason']}, attempt {row['attempts']}, made {_since(row['created_at'], at)}"
    outcome = ": ".join(part for part in (row["outcome"], row["detail"]) if part)
    return f"{told}: {outcome}" if outcome else told


def _source(source: Document, at: str) -> str:
    told = f"{source['name']}: {source['locator']}"
    match source["proof"]:
        case "proved":
            return f"{told}, proved {_since(source['proved_at'], at)}, {_material(source)}"
        case "unproved":
            return f"{told}, {source['code']} since {source['since']}: {source['error']}"
        case _:
            return f"{told}, not asked yet"


def _material(source: Document) -> str:
    return f"{source['length']} bytes" if source["material"] == "bytes" else f"an {source['material']} private key"


def _policy(policy: Document) -> str:
    valid_for = policy["valid_for_s"]
    life = "never ends" if valid_for == "never" else f"valid for {humane(valid_for)}"
    return (
        f"{life}, renewed {humane(policy['renew_before_s'])} before, on lapse {policy['on_lapse']}, "
        f"on foreign delete {policy['on_foreign_delete']}, {_wrapping(policy)}"
    )


def _wrapping(policy: Document) -> str:
    fixed = [each for each in (policy["wrapping_algorithm"], policy["wrapping_key_spec"]) if each != "auto"]
    return f"wrapped as {' under '.join(fixed)}" if fixed else "wrapped as fits the key"
