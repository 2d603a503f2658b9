"""Log in, log out, and set a password by an invitation."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from pipeline.errors import StudyError
from pipeline.reader_study.accounts import SHORTEST_PASSWORD, Account
from pipeline.reading_room.room import Room
from pipeline.reading_room.sessions import SESSION_S, WrongPasswords, cookie_name, new_cookie
from pipeline.reading_room.visit import Visit
from pipeline.reviews.record import reader_code


class AccountPages:
    """Handlers. ``secure``: the cookie is sent over https only, whatever the request came by."""

    def __init__(self, room: Room, *, secure: bool) -> None:
        self.room, self.secure = room, secure
        self.wrong = WrongPasswords()

    def login_page(self, visit: Visit) -> Response:
        return RedirectResponse("./", 303) if visit.session else visit.page("login", text="", code="")

    def log_in(self, visit: Visit) -> Response:
        """Code and password; after several wrong ones nothing is tried for a while."""
        code, password = reader_code(visit.form.get("code", ""))[:64], visit.form.get("password", "")
        if self.wrong.blocked(code):
            text = "Too many wrong passwords: wait a quarter of an hour, or ask your coordinator for a new invitation."
            return visit.page("login", 429, text=text, code=code)
        account = self.room.accounts.check_password(code, password)
        if account is None:
            self.wrong.count(code)
            return visit.page("login", 403, text="Code or password is wrong.", code=code)
        self.wrong.forget(code)
        return self._logged_in(visit, account)

    def invite_page(self, visit: Visit) -> Response:
        """The invitation stands behind ``#`` in the address, which browsers do not send: no log holds it."""
        return visit.page("invite", text="", token="", shortest=SHORTEST_PASSWORD)

    def accept(self, visit: Visit) -> Response:
        """Set a password and log in."""
        token, password = visit.form.get("token", ""), visit.form.get("password", "")
        try:
            if password != visit.form.get("again", ""):
                raise StudyError("The two passwords differ.")
            account = self.room.accounts.set_password(token, password)
        except StudyError as error:
            return visit.page("invite", 422, text=str(error), token=token[:100], shortest=SHORTEST_PASSWORD)
        return self._logged_in(visit, account)

    def log_out(self, visit: Visit) -> Response:
        answer = RedirectResponse("login", 303)
        answer.delete_cookie(cookie_name(self.room), httponly=True, samesite="lax")
        return answer

    def _logged_in(self, visit: Visit, account: Account) -> Response:
        answer = RedirectResponse("./", 303)
        answer.set_cookie(
            cookie_name(self.room),
            new_cookie(self.room, account),
            max_age=SESSION_S,
            httponly=True,
            samesite="lax",
            secure=self.secure or visit.request.url.scheme == "https",
        )
        return answer
