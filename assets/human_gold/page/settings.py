"""What can be set about the annotation page."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Search(BaseModel):
    """A search that a selected phrase can be looked up with.

    Attributes:
        name: on the button.
        url: address with `{query}` where the phrase goes, percent-encoded; http or https.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=40)
    url: str

    @field_validator("url")
    @classmethod
    def _is_a_web_address(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")) or url.count("{query}") != 1:
            raise ValueError("a search is an http(s) address that holds {query} once")
        return url


class PageSettings(BaseModel):
    """Settings of one annotation page.

    Attributes:
        https: the page is reached by https (through a proxy): cookies are marked Secure.
        lease_s: seconds after which a task somebody opened and left goes back to everyone.
        reveal: show the source's label and the judges' verdicts after the answer.
        searches: offered for a selected phrase, in this order.
        max_body_bytes: larger requests are refused (413).
        max_rendered_chars: longer texts are shown plain only, and the page says so.
        idle_s: seconds without a sign of life after which time no longer counts as active.
        long_turn_chars: turns of the conversation beyond this many characters start folded, with their length.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    https: bool = False
    lease_s: int = Field(default=7200, ge=60)
    reveal: bool = False
    searches: tuple[Search, ...] = (
        Search(name="DuckDuckGo", url="https://duckduckgo.com/?q={query}"),
        Search(name="Bing", url="https://www.bing.com/search?q={query}"),
        Search(name="Wikipedia", url="https://en.wikipedia.org/w/index.php?search={query}"),
    )
    max_body_bytes: int = Field(default=262_144, ge=1024)
    max_rendered_chars: int = Field(default=20_000, ge=0)
    idle_s: int = Field(default=60, ge=1)
    long_turn_chars: int = Field(default=1200, ge=0)
