"""The cohort: who stands where, and who needs a look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from grader.cohort.gradebook.reading import in_order, is_found
from grader.cohort.gradebook.standing import ONLY, STATES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.web.state import Cohort, Person

LOOK = "look"
SIMILAR = "similar"
SELECTIONS = (LOOK, *ONLY, SIMILAR)
SORTS = ("name", "mark", "section", "time")
PER_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a reader wants to see of the cohort. Whatever is no choice is the default."""

    find: str = ""
    only: str = ""
    sort: str = "name"
    reverse: bool = False
    page: int = 1

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Query:
        """Out of an address."""
        sort, only = fields.get("sort", ""), fields.get("only", "")
        page = fields.get("page", "")
        return cls(
            find=fields.get("find", "").strip()[:200],
            only=only if only in SELECTIONS else "",
            sort=sort if sort in SORTS else "name",
            reverse=fields.get("reverse") == "yes",
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
        )

    def address(self, **changes: Any) -> str:
        """The query string of this, but for what is changed; where nothing is asked for, empty."""
        wanted = {name: getattr(self, name) for name in ("find", "only", "sort", "reverse")} | changes
        plain = {"sort": "name", "page": 1}
        told = {
            name: "yes" if value is True else value
            for name, value in wanted.items()
            if value and value != plain.get(name)
        }
        return f"?{urlencode(told)}" if told else ""


def selected(cohort: Cohort, query: Query) -> list[Person]:
    """Whom a query means, in its order."""
    by_id = cohort.by_id
    kept = [
        person.standing
        for person in cohort.people
        if _is_meant(person, query.only) and is_found(person.standing, query.find, cohort.names)
    ]
    if query.sort == "name" and not query.reverse:
        return [by_id[row.candidate] for row in kept]
    ordered = in_order(kept, query.sort, cohort.names, reverse=query.reverse)  # type: ignore[arg-type]
    return [by_id[row.candidate] for row in ordered]


def read(cohort: Cohort, query: Query, *, per_page: int = PER_PAGE) -> dict[str, Any]:
    """What the template shows."""
    found = selected(cohort, query)
    pages = max(1, -(-len(found) // per_page))
    page = min(query.page, pages)
    counts = {
        name: count
        for name in SELECTIONS
        if (count := sum(_is_meant(person, name) for person in cohort.people)) or name == query.only
    }
    scales = {
        (row.possible, row.pass_mark) for row in (person.standing for person in cohort.people) if row.possible
    }
    states = {name: sum(person.standing.state == name for person in cohort.people) for name in STATES}
    return {
        "query": query,
        "people": found[(page - 1) * per_page : page * per_page],
        "found": len(found),
        "page": page,
        "pages": pages,
        "counts": counts,
        "states": {name: count for name, count in states.items() if count},
        "scale": scales.pop() if len(scales) == 1 else None,
        "first": cohort.queue[0] if cohort.queue else None,
        "has_sections": any(person.standing.section for person in cohort.people)
        and not cohort.names.anonymous,
    }


def _is_meant(person: Person, only: str) -> bool:
    match only:
        case "":
            return True
        case "look":
            return bool(person.look)
        case "similar":
            return "similar" in person.look
    return ONLY[only](person.standing)
