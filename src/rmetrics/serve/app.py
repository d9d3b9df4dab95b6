"""Routes paths to pages. Each response is built from one view of the project; errors are rendered as pages, too."""

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
from rmetrics.serve.controls import Edited
from rmetrics.serve.current import Current
from rmetrics.serve.frame import Page, PageRequest, document, error_page
from rmetrics.serve.pages.explanation import OutdatedError, explanation
from rmetrics.serve.pages.funnel import funnel
from rmetrics.serve.pages.health import health
from rmetrics.serve.pages.measures import measures
from rmetrics.serve.pages.overview import month, overview
from rmetrics.serve.pages.rejected import rejected
from rmetrics.serve.pages.rules import rules
from rmetrics.serve.pages.runs import runs
from rmetrics.serve.pages.source import source
from rmetrics.serve.pages.what_if import requested_edit, what_if
from rmetrics.serve.trial import SECONDS, Trials
from rmetrics.serve.view import View
from rmetrics.settings import Settings

PAGES: dict[str, Callable[[PageRequest], Page]] = {
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
_MAX_CHARTS = 500


class Site:
    """The state that all requests share.

    Args:
        settings: the project's settings.
        rows: whether rows of exports may be shown.
        seconds: time limit for a trial of edited rules.
    """

    def __init__(self, settings: Settings, *, rows: bool, seconds: float = SECONDS) -> None:
        self.settings, self.rows = settings, rows
        self.current = Current(settings)
        self.trials = Trials(settings, seconds)
        self._charts: dict[object, str] = {}

    def warm(self) -> None:
        """Opens the project before the first request; its errors appear on the pages."""
        with contextlib.suppress(RmetricsError), self.current.view() as view:
            overview(PageRequest(self.settings, view, self.rows, {}, {}, self._charts))

    def asked(self, request: Request, view: View) -> PageRequest:
        """Combines a request with everything its page is built from."""
        if len(self._charts) > _MAX_CHARTS:  # most belong to earlier versions
            self._charts.clear()
        return PageRequest(self.settings, view, self.rows, request.query_params, request.path_params, self._charts)

    def answer(self, request: Request, make: Callable[[PageRequest], Page]) -> Response:
        """Renders a page from one view; again from the newest if a sync published another version meanwhile."""
        try:
            with self.current.view() as view:
                try:
                    return _html(make(self.asked(request, view)), view.mark)
                except OutdatedError:
                    pass
            # The outdated view is released by now, so it can close before the newest one opens.
            with self.current.view(newest=True) as view, contextlib.suppress(OutdatedError):
                return _html(make(self.asked(request, view)), view.mark)
            raise BusyError("a sync is replacing the figures", "Reload the page in a moment.")
        except RmetricsError as error:
            return _html(error_page(error), self._mark())

    async def trial(self, request: Request) -> Response:
        """Renders ``/plan``; no view is held while the trial is computed."""
        tried, plan, wrong = None, None, None
        try:
            tried = await run_in_threadpool(self._edit, request)
            plan = None if tried is None else await self.trials.plan(tried)
        except RmetricsError as error:
            wrong = error
        return await run_in_threadpool(self.answer, request, lambda asked: what_if(asked, tried, plan, wrong))

    def _edit(self, request: Request) -> Edited | None:
        with self.current.view() as view:
            return requested_edit(self.asked(request, view))

    def _mark(self) -> str:
        try:
            return self.current.newest_mark()
        except RmetricsError:
            return ""

    def mark(self, _request: Request) -> Response:
        """Returns the mark of the version that would be shown now."""
        return JSONResponse({"mark": self._mark()})


def _html(page: Page, mark: str) -> Response:
    return HTMLResponse(document(page, mark), page.status)


def _static(request: Request) -> Response:
    """Serves a static file; any name that is not listed is a 404, so no path is ever resolved."""
    name = request.path_params["name"]
    if name not in _KINDS:
        raise HTTPException(404)
    folder = resources.files("rmetrics.html_report" if name == "style.css" else "rmetrics.serve") / (
        "" if name == "style.css" else "static"
    )
    return Response((folder / name).read_bytes(), media_type=_KINDS[name])


def _not_found(_request: Request, _error: Exception) -> Response:
    return _html(error_page(SettingsError("this page does not exist", "See the overview: /")), "")


def _failed(_request: Request, _error: Exception) -> Response:
    """Renders an unexpected exception without details; the server writes the traceback to stderr."""
    page = Page(
        "Failed", "<h1>This page failed</h1><p>This is a bug in rmetrics; the terminal shows the details.</p>", "", 500
    )
    return _html(page, "")


def application(site: Site) -> Starlette:
    """Builds the application, which has no access control of its own: wrap it in ``Guard``."""

    def route(path: str, make: Callable[[PageRequest], Page]) -> Route:
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
