"""The pages by their paths. Every answer is made from one view of the project; an error is a page, too."""

import contextlib
from collections.abc import AsyncIterator, Callable
from importlib import resources

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from rmetrics.errors import BusyError, RmetricsError, SettingsError
from rmetrics.serve.current import Current
from rmetrics.serve.frame import Asked, Page, document, error_page
from rmetrics.serve.knobs import Edited
from rmetrics.serve.pages.explanation import OutdatedError, explanation
from rmetrics.serve.pages.funnel import funnel
from rmetrics.serve.pages.health import health
from rmetrics.serve.pages.measures import measures
from rmetrics.serve.pages.overview import month, overview
from rmetrics.serve.pages.rejected import rejected
from rmetrics.serve.pages.rules import rules
from rmetrics.serve.pages.runs import runs
from rmetrics.serve.pages.source import source
from rmetrics.serve.pages.what_if import asked_edit, what_if
from rmetrics.serve.trial import SECONDS, Trials
from rmetrics.serve.view import View
from rmetrics.settings import Settings

PAGES: dict[str, Callable[[Asked], Page]] = {
    "/": overview,
    "/month/{month}": month,
    "/source/{name:path}": source,
    "/explain": explanation,
    "/funnel": funnel,
    "/measures": measures,
    "/health": health,
    "/rejected": rejected,
    "/runs": runs,
    "/rules": rules,
}
_KINDS = {"style.css": "text/css", "serve.css": "text/css", "live.js": "text/javascript"}
_MOST_CHARTS = 500


class Site:
    """What the pages are made from.

    Args:
        settings: of the project.
        rows: whether rows of exports may be shown.
        seconds: after so many a trial of other rules is ended.
    """

    def __init__(self, settings: Settings, *, rows: bool, seconds: float = SECONDS) -> None:
        self.settings, self.rows = settings, rows
        self.current = Current(settings)
        self.trials = Trials(settings, seconds)
        self._charts: dict[object, str] = {}

    def warm(self) -> None:
        """Opens the project before the first request; what is wrong with it is said on its pages."""
        with contextlib.suppress(RmetricsError), self.current.view() as view:
            overview(Asked(self.settings, view, self.rows, {}, {}, self._charts))

    def asked(self, request: Request, view: View) -> Asked:
        """A request with what its page is made from."""
        if len(self._charts) > _MOST_CHARTS:  # of versions before, most of them
            self._charts.clear()
        return Asked(self.settings, view, self.rows, request.query_params, request.path_params, self._charts)

    def answer(self, request: Request, make: Callable[[Asked], Page]) -> Response:
        """A page, from one view; made again where a sync published another meanwhile."""
        try:
            with self.current.view() as view:
                try:
                    return _html(make(self.asked(request, view)), view.mark)
                except OutdatedError:
                    pass
            with self.current.view(newest=True) as view, contextlib.suppress(OutdatedError):
                return _html(make(self.asked(request, view)), view.mark)
            raise BusyError("a sync is changing the figures right now", "Load the page again in a moment.")
        except RmetricsError as error:
            return _html(error_page(error), self._mark())

    async def trial(self, request: Request) -> Response:
        """The page ``/plan``: the view is left while the trial is computed."""
        tried, plan, wrong = None, None, None
        try:
            tried = await run_in_threadpool(self._edit, request)
            plan = None if tried is None else await self.trials.plan(tried)
        except RmetricsError as error:
            wrong = error
        return await run_in_threadpool(self.answer, request, lambda asked: what_if(asked, tried, plan, wrong))

    def _edit(self, request: Request) -> Edited | None:
        with self.current.view() as view:
            return asked_edit(self.asked(request, view))

    def _mark(self) -> str:
        try:
            return self.current.newest_mark()
        except RmetricsError:
            return ""

    def mark(self, _request: Request) -> Response:
        """Which version would be shown now."""
        return JSONResponse({"mark": self._mark()})


def _html(page: Page, mark: str) -> Response:
    return HTMLResponse(document(page, mark), page.status)


def _static(request: Request) -> Response:
    """A file of the program. Only names in the list are looked for."""
    name = request.path_params["name"]
    if name not in _KINDS:
        raise HTTPException(404)
    folder = resources.files("rmetrics.html_report" if name == "style.css" else "rmetrics.serve") / (
        "" if name == "style.css" else "static"
    )
    return Response((folder / name).read_bytes(), media_type=_KINDS[name])


def _not_found(_request: Request, _error: Exception) -> Response:
    return _html(error_page(SettingsError("there is no such page", "See the overview: /")), "")


def _failed(_request: Request, _error: Exception) -> Response:
    """A bug of ours: the page says so and no more; the server writes the traceback to stderr."""
    page = Page(
        "Failed", "<h1>This page failed</h1><p>It is a bug in rmetrics; the terminal has the details.</p>", "", 500
    )
    return _html(page, "")


def application(site: Site) -> Starlette:
    """The application, open to whoever reaches it: put it behind ``Guard``."""

    def route(path: str, make: Callable[[Asked], Page]) -> Route:
        def answer(request: Request) -> Response:
            return site.answer(request, make)

        return Route(path, answer)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            site.current.close()

    return Starlette(
        routes=[
            *(route(path, make) for path, make in PAGES.items()),
            Route("/plan", site.trial),
            Route("/mark", site.mark),
            Route("/static/{name}", _static),
        ],
        exception_handlers={404: _not_found, Exception: _failed},
        lifespan=lifespan,
    )
