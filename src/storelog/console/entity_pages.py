"""What the pages of customers, products and orders share: lists, single entities, and forms.

Guarantees that a rejected form is shown again with its values, and that an accepted one leads to a
page that includes its effect.
Next: console/changes.py
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from msgspec import Struct

from storelog.client.problems import Problem
from storelog.console.changes import body_of, form_error, stale_facts, version_of
from storelog.console.forms import Form
from storelog.console.page import see_other
from storelog.console.query_side import Body, Found
from storelog.console.site import Site
from storelog.shop.event_kinds import EntityKind
from storelog.web.http import Request, Response


class EntityPages(ABC):
    """The pages of one kind of entity.

    `filters`: the parameters of the list; `rows`: the items on a page of it; `history`: how many of
    an entity's newest events are read.
    """

    kind: ClassVar[EntityKind]
    filters: ClassVar[Sequence[str]]
    rows: ClassVar[int] = 50
    history: ClassVar[int] = 100

    def __init__(self, site: Site) -> None:
        self._site = site
        self._path = f"/{self.kind.name}s"
        self._home = f"/console{self._path}"
        self._of_one = f"{self._home}/{{{self.kind.id_name}}}"

    @abstractmethod
    async def _page(self, request: Request, status: int = 200, **more: Any) -> Response:
        """Return the page of one entity; `more` has the facts of a rejected form."""

    async def _list(self, request: Request) -> Response:
        asked = {name: request.query.get(name) for name in self.filters}
        found = await self._site.query.get(request, self._path, {**asked, "limit": str(self.rows)})
        return self._site.templates.page(request, f"{self.kind.name}s.html", found=found)

    async def _new(self, request: Request) -> Response:
        return self._new_page(request, values={})

    def _new_page(self, request: Request, status: int = 200, **facts: Any) -> Response:
        return self._site.templates.page(request, f"{self.kind.name}_new.html", status, **facts)

    async def _show(self, request: Request) -> Response:
        return await self._page(request)

    async def _read(self, request: Request) -> tuple[Found, Found | None]:
        """Return an entity's newest events, and the entity, None if it is deleted."""
        ids = {self.kind.id_name: request.ids[self.kind.id_name]}
        one = f"{self._path}/{{{self.kind.id_name}}}"
        limit = {"limit": str(self.history)}
        return await asyncio.gather(
            self._site.query.get(request, f"/history{one}", limit, ids),
            self._site.query.get_or_none(request, one, ids),
        )

    async def _begin(self, request: Request, form: Form, structure: type[Struct]) -> Response:
        """Create the entity of the form."""
        body, key = body_of(form, structure), form.text("key")
        try:
            done = await self._site.commands.send(request, "POST", self._path, body, key=key)
        except Problem as problem:
            return self._new_page(request, problem.status, **form_error(problem, form))
        # The next page waits for this position, so it shows the new entity.
        place = f"{self._home}/{done.body[self.kind.id_name]}"
        return see_other(place, position=done.position)

    async def _delete(self, request: Request, form: Form) -> Response:
        return await self._send(request, form, "DELETE")

    async def _send(
        self,
        request: Request,
        form: Form,
        method: str,
        suffix: str = "",
        body: Body | None = None,
        fields: Sequence[str] = (),
    ) -> Response:
        """Send a command about one entity; `fields`: those of it that the form shows, if any."""
        number = request.ids[self.kind.id_name]
        try:
            done = await self._site.commands.send(
                request,
                method,
                f"{self._path}/{number}{suffix}",
                body,
                key=form.text("key"),
                version=version_of(form),
            )
        except Problem as problem:
            facts = stale_facts(problem, form, fields)
            if not fields:
                # The page has two forms: these values belong to the other one, not to the entity.
                facts["adjustment"] = facts.pop("values")
            return await self._page(request, problem.status, **facts)
        return see_other(f"{self._home}/{number}", position=done.position)
