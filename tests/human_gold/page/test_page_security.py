"""What strangers, people of another role and broken programs get from the page, over real HTTP."""

import asyncio

import httpx
import pytest
from fastapi.routing import APIRoute

from assets.human_gold.desk.database import open_database
from assets.human_gold.page import adjudicating, entering, guides, labelling, managing
from assets.human_gold.page.app import create_app
from assets.human_gold.page.headers import CONTENT_SECURITY_POLICY
from tests.human_gold.page.running_page import PASSWORD, HandMadeGuidelines, csrf_of, field_of, item, post_form, task

# One well-formed request for each route that changes something and needs a session.
WRITES = {
    "/api/answers": {"key": "k", "client_key": "12345678", "verdict": "tie"},
    "/api/drafts": {"key": "k", "form": {}},
    "/api/later": {"key": "k"},
    "/api/decisions": {"key": "case-1", "client_key": "12345678", "verdict": "tie", "comment": "both"},
    "/api/people/invite": {"handle": "new", "role": "manager"},
    "/api/people/reset-link": {"handle": "mia"},
    "/api/people/role": {"handle": "ada", "role": "manager"},
    "/api/people/deactivate": {"handle": "ada"},
    "/api/people/activate": {"handle": "ada"},
    "/api/withdraw": {"task_ids": ["k"], "why": "because"},
    "/sign-out": {},
}
BEFORE_A_SESSION = {"/sign-in", "/invitation/{token}"}
OF_MANAGERS = [path for path in WRITES if path.startswith(("/api/people", "/api/withdraw"))]
PAGES = ["/work", "/adjudicate", "/manage", "/manage/people", "/manage/agreement", "/manage/audit", "/guidelines"]
READS = [
    "/api/next",
    "/api/tasks/k",
    "/api/history",
    "/api/progress",
    "/api/guideline?task_category=math&objectivity=objective&controversiality=low",
    "/api/cases/next",
    "/api/cases/history",
    "/api/cases/case-1",
]


def routes_of(app):
    return {(route.path, method) for route in app.routes if isinstance(route, APIRoute) for method in route.methods}


def all_routes(app):
    """Also those of included routers, however the framework keeps them."""
    found = routes_of(app)
    for module in (adjudicating, entering, guides, labelling, managing):
        found |= routes_of(module.routes)
    return found


def test_every_route_that_changes_something_is_tried_here(desk_page):
    posts = {path for path, method in all_routes(desk_page.app) if method not in ("GET", "HEAD")}
    assert posts == set(WRITES) | BEFORE_A_SESSION


@pytest.fixture
def two(desk_page):
    """A page with an annotator and a manager."""
    mia = desk_page.member("mia", "manager")
    return desk_page, desk_page.member("ada"), mia


def test_writes_need_a_session_a_token_of_that_session_and_our_own_origin(two):
    page, ada, mia = two
    again = page.sign_in("mia")
    assert again.csrf != mia.csrf
    for path, body in WRITES.items():
        with page.client() as stranger:
            assert stranger.post(path, json=body).status_code == 401, path
            assert stranger.post(path, json=body, headers={"x-csrf-token": mia.csrf}).status_code == 401, path
            stranger.cookies.set("synpref_session", "x" * 43)
            assert stranger.post(path, json=body).status_code == 401, path
        for token in (None, "", "x" * 43, ada.csrf, again.csrf):
            headers = {} if token is None else {"x-csrf-token": token}
            assert mia.http.post(path, json=body, headers=headers).status_code == 403, (path, token)
        for origin in ("https://evil.example", "null", f"{page.base}.evil.example"):
            assert mia.post(path, body, origin=origin).status_code == 403, (path, origin)
    # None of it did anything.
    assert {one.handle: (one.role, one.active) for one in page.accounts.people()} == {
        "ada": ("annotator", True),
        "mia": ("manager", True),
    }
    assert mia.http.get("/work").status_code == 200


def test_a_token_in_a_form_field_or_in_the_address_is_not_enough_for_the_api(two):
    _, _, mia = two
    for path in OF_MANAGERS:
        assert mia.http.post(f"{path}?csrf_token={mia.csrf}", json={}).status_code == 403
        assert mia.http.post(path, data={"csrf_token": mia.csrf}).status_code == 403


def test_reads_need_a_session(desk_page):
    with desk_page.client() as stranger:
        for path in PAGES:
            reply = stranger.get(path)
            assert (reply.status_code, reply.headers["location"]) == (303, "/sign-in"), path
        for path in READS:
            reply = stranger.get(path)
            assert reply.status_code == 401, path
            assert reply.json()["error"]["kind"] == "NotSignedIn"


def test_roles_bound_what_people_reach(two):
    page, ada, mia = two
    lea = page.member("lea", "adjudicator")
    for path in OF_MANAGERS:
        for person in (ada, lea):
            assert person.post(path, WRITES[path]).status_code == 403, path
    for path in ("/manage", "/manage/people", "/manage/agreement", "/manage/audit"):
        assert ada.http.get(path).status_code == lea.http.get(path).status_code == 403
        assert mia.http.get(path).status_code == 200
    for path in ("/adjudicate", "/api/cases/next", "/api/cases/history"):
        assert ada.http.get(path).status_code == 403
        assert lea.http.get(path).status_code == 200
    assert ada.post("/api/decisions", WRITES["/api/decisions"]).status_code == 403
    # A role is read at each request, and so is whether the account is open.
    page.add("zoe", "manager")
    page.accounts.set_role("mia", "annotator", None)
    assert mia.post("/api/people/deactivate", {"handle": "ada"}).status_code == 403
    page.accounts.deactivate("mia", None)
    assert mia.http.get("/api/progress").status_code == 401


def test_somebody_elses_task_is_refused_like_one_that_does_not_exist(two):
    page, ada, mia = two
    pair = item(1)
    page.push([pair], [task(pair, "mia")])
    key = mia.http.get("/api/next").json()["task"]["key"]
    for path, body in (("/api/answers", WRITES["/api/answers"]), ("/api/later", {}), ("/api/drafts", {"form": {}})):
        theirs = ada.post(path, {**body, "key": key})
        nobodys = ada.post(path, {**body, "key": "f" * 32})
        assert theirs.status_code == nobodys.status_code, path
        assert theirs.status_code in (403, 404), path
        assert {**theirs.json()["error"], "what": ""} | {"what": theirs.json()["error"]["what"].replace(key, "")} == {
            **nobodys.json()["error"],
            "what": nobodys.json()["error"]["what"].replace("f" * 32, ""),
        }
    assert ada.http.get(f"/api/tasks/{key}").status_code in (403, 404)
    assert ada.http.get("/api/next").json()["task"] is None


def test_cookies_and_headers(two):
    page, ada, _ = two
    with page.client() as http:
        reply = post_form(http, "/sign-in", handle="ada", password=PASSWORD)
        cookie = next(one for one in reply.headers.get_list("set-cookie") if one.startswith("synpref_session="))
        for flag in ("HttpOnly", "SameSite=lax", "Path=/"):
            assert flag in cookie
        assert "Secure" not in cookie
    for path in [*PAGES[:1], "/sign-in", "/nothing", "/api/next", "/static/page.css"]:
        headers = ada.http.get(path).headers
        assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    address = ada.http.get("/work").text.split('src="')[1].split('"')[0]
    assert "immutable" in ada.http.get(address).headers["cache-control"]


def test_over_https_cookies_are_secure(page_of):
    page = page_of(https=True)
    page.add("ada")
    with page.client() as http:
        form = http.get("/sign-in")
        assert all("Secure" in one for one in form.headers.get_list("set-cookie"))
        # The client keeps secure cookies from plain http, so they are sent by hand.
        token = field_of(form.text, "csrf_token")
        reply = http.post(
            "/sign-in",
            data={"csrf_token": token, "handle": "ada", "password": PASSWORD},
            headers={"cookie": f"synpref_form={token}"},
        )
    assert reply.status_code == 303
    assert all("Secure" in one for one in reply.headers.get_list("set-cookie"))


def test_signing_in_makes_a_new_token_and_ends_the_one_before(desk_page):
    desk_page.add("ada")
    with desk_page.client() as http:
        form = http.get("/sign-in")
        token = field_of(form.text, "csrf_token")
        # A token that somebody planted in the browser is not taken over.
        planted = http.post(
            "/sign-in",
            data={"csrf_token": token, "handle": "ada", "password": PASSWORD},
            headers={"cookie": f"synpref_form={token}; synpref_session={'planted' * 6}"},
        )
        assert planted.status_code == 303
        assert "planted" not in planted.headers["set-cookie"]
    ada = desk_page.sign_in("ada")
    before = ada.http.cookies["synpref_session"]
    assert post_form(ada.http, "/sign-in", handle="ada", password=PASSWORD).status_code == 303
    assert ada.http.cookies["synpref_session"] != before
    with desk_page.client() as old:
        old.cookies.set("synpref_session", before)
        assert old.get("/work").status_code == 303
    assert ada.http.get("/work").status_code == 200
    reply = ada.http.post("/sign-out", data={"csrf_token": csrf_of(ada.http)})
    assert reply.headers["location"] == "/sign-in"
    assert ada.http.get("/work").status_code == 303


def test_sign_in_and_invitation_need_the_forms_own_token(desk_page):
    desk_page.add("ada")
    invited = desk_page.link("bo").removeprefix(desk_page.base)
    fields = {"handle": "ada", "password": PASSWORD, "again": PASSWORD}
    for path in ("/sign-in", invited):
        with desk_page.client() as http:
            assert http.post(path, data=fields).status_code == 403
            token = field_of(http.get(path).text, "csrf_token")
            assert http.post(path, data={**fields, "csrf_token": token[:-1] + "!"}).status_code == 403
            wrong = http.post(path, data={**fields, "csrf_token": token}, headers={"origin": "https://evil.example"})
            assert wrong.status_code == 403
        with desk_page.client() as other:
            # Another browser's token.
            assert other.post(path, data={**fields, "csrf_token": token}).status_code == 403
    assert not any(one["action"] == "signed_in" for one in desk_page.accounts.audit_log())


def test_wrong_passwords_are_slowed_down(desk_page):
    desk_page.add("ada")
    with desk_page.client() as http:
        replies = [post_form(http, "/sign-in", handle="ada", password="wrong wrong wrong") for _ in range(6)]
        assert [reply.status_code for reply in replies] == [401] * 5 + [429]
        assert int(replies[-1].headers["retry-after"]) > 0
        # Also with the right one, until time has passed.
        assert post_form(http, "/sign-in", handle="ada", password=PASSWORD).status_code == 429
        unknown = post_form(http, "/sign-in", handle="nobody", password="wrong wrong wrong")
        assert unknown.status_code == 401
        said = replies[0].text.split('role="alert">')[1].split("</p>")[0]
        assert said == unknown.text.split('role="alert">')[1].split("</p>")[0]


def test_an_invitation_works_once_and_wants_a_good_password(desk_page):
    path = desk_page.link("ada").removeprefix(desk_page.base)
    with desk_page.client() as http:
        for password, again in (("short", "short"), (PASSWORD, PASSWORD + "!"), ("x" * 5000, "x" * 5000)):
            reply = post_form(http, path, password=password, again=again)
            assert reply.status_code == 400
            assert 'role="alert"' in reply.text
            assert password not in reply.text
        assert post_form(http, path, password=PASSWORD, again=PASSWORD).headers["location"] == "/work"
        assert http.get("/work").status_code == 200
    with desk_page.client() as http:
        for gone in (path, "/invitation/" + "x" * 43):
            assert http.get(gone).status_code == 404
            token = field_of(http.get("/sign-in").text, "csrf_token")
            reply = http.post(gone, data={"csrf_token": token, "password": PASSWORD, "again": PASSWORD})
            assert reply.status_code == 400


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b"null", "body"),
        (b'"text"', "body"),
        (b"\xff\xfe", "body"),
        (b"[" * 20_000, "body"),
        (b'{"key": 1, "client_key": "12345678", "verdict": "tie"}', "key"),
        (b'{"key": "k", "client_key": "short", "verdict": "tie"}', "client_key"),
        (b'{"key": "k", "client_key": "12345678"}', "verdict"),
        (b'{"key": "k", "client_key": "12345678", "verdict": "tie", "surprise": 1}', "surprise"),
        (b'{"key": "k", "client_key": "12345678", "verdict": "tie", "active_seconds": NaN}', "active_seconds"),
        (b'{"key": "k", "client_key": "12345678", "verdict": "tie", "active_seconds": -1}', "active_seconds"),
        (b'{"key": "k", "client_key": "12345678", "verdict": "tie", "revision": "0"}', "revision"),
        (b'{"key": "k", "client_key": "12345678", "verdict": "tie", "reasons": "length"}', "reasons"),
        (b'{"key": "k", "client_key": "12345678", "verdict": "tie", "comment": "\\u0000"}', "comment"),
        (b'{"key": "k", "client_key": "12345678", "verdict": "tie", "comment": "\\ud800"}', "body"),
        (b'{"key": "k", "client_key": "12345678", "verdict": "tie", "edited_attributes": {"a": 1}}', "edited"),
    ],
)
def test_json_of_the_wrong_shape_gets_a_sentence(desk_page, content, field):
    ada = desk_page.member("ada")
    reply = ada.http.post("/api/answers", content=content, headers={"x-csrf-token": ada.csrf})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert set(error) == {"what", "kept", "todo", "kind"}
    assert error["kind"] == "InvalidAnswer"
    assert field in error["what"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"verdict": "first"}, "verdict"),
        ({"verdict": "left", "strength": None}, "strength"),
        ({"verdict": "left", "strength": "hugely"}, "strength"),
        ({"reasons": ["looks"]}, "reasons"),
        ({"edited_attributes": {"task_category": "sports"}}, "task_category"),
    ],
)
def test_values_that_do_not_exist_are_refused(desk_page, change, field):
    ada, pair = desk_page.member("ada"), item(1)
    desk_page.push([pair], [task(pair, "ada")])
    key = ada.http.get("/api/next?plain=1").json()["task"]["key"]
    good = {"key": key, "client_key": "12345678", "verdict": "tie", "guideline_version": "v"}
    reply = ada.post("/api/answers", {**good, **change})
    assert reply.status_code == 400
    assert field in reply.json()["error"]["what"]
    assert ada.post("/api/answers", good).json()["receipt"]["revision"] == 0


def test_large_bodies_are_refused_before_they_are_read(page_of):
    page = page_of(max_body_bytes=2000)
    ada = page.member("ada")
    headers = {"x-csrf-token": ada.csrf}
    assert ada.post("/api/drafts", {"key": "k", "form": {"comment": "x" * 3000}}).status_code == 413
    # Without an announced length, by what comes.
    pieces = ada.http.post("/api/drafts", content=(b"x" * 500 for _ in range(10)), headers=headers)
    assert pieces.status_code == 413
    assert pieces.json()["error"]["kind"] == "TooLarge"
    with page.client() as stranger:
        assert stranger.post("/sign-in", content=b"x" * 5000).status_code == 413


def test_unknown_addresses_tell_nothing(desk_page):
    with desk_page.client() as http:
        for path in ("/openapi.json", "/docs", "/redoc", "/static/../app.py", "/static/%2e%2e/app.py", "/.git/config"):
            assert http.get(path).status_code == 404, path
        assert http.get("/api/answers").status_code in (404, 405)
        assert http.get("/api/nothing").json()["error"]["kind"] == "Unserved"


def test_a_failure_says_that_it_failed_and_nothing_else(tmp_path, caplog):
    class Broken(HandMadeGuidelines):
        def text(self, *_, **__):
            raise RuntimeError("secret path /srv/desk")

    app = create_app(open_database(f"sqlite:///{tmp_path / 'desk.db'}"), guidelines=Broken())
    accounts = app.state.services.accounts
    accounts.accept_invitation(accounts.invite("ada", "annotator", by=None), PASSWORD)
    token = accounts.sign_in("ada", PASSWORD, address="test").token

    async def ask():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://desk") as http:
            kind = {"task_category": "math", "objectivity": "objective", "controversiality": "low"}
            return await http.get("/api/guideline", params=kind, headers={"cookie": f"synpref_session={token}"})

    reply = asyncio.run(ask())
    assert reply.status_code == 500
    assert reply.json()["error"]["kind"] == "Failed"
    assert "secret" not in reply.text
