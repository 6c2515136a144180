"""What the API says in English is said in the other languages of the console, and said again when it changes."""

import ast
import builtins
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from string import Formatter
from time import process_time
from typing import Annotated, Any, Literal
from uuid import UUID

import aiohttp
import pytest
from markupsafe import escape
from pydantic import AnyHttpUrl, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from contracts.problems import bounds
from gateway.console.formats import Formats
from gateway.console.messages import messages
from gateway.console.telling import DEEPEST, LONGEST, English, Telling, places
from services.scoring.domain.differences import differences
from services.scoring.domain.drafts import drafted
from services.scoring.domain.lives import WAYS_OUT
from services.scoring.domain.presets import PRESETS
from tests.docs.pages import ROOT, code, page, rows, section
from tests.docs.test_problems import PROBLEM
from tests.scoring.test_domain_policies import DOCUMENT, WHOLE, leaves, otherwise

CHINESE = ("zh-Hant", "zh-Hans")
COMMON = {"retry_after_s", "errors"}
"""Members that the frame of every problem may have."""


def telling(language: str) -> Telling:
    return Telling(language, Formats(language, UTC, datetime(2026, 3, 1, 12, tzinfo=UTC)))


def area(language: str, name: str) -> dict[str, Any]:
    told = messages(language).items()
    return {key.removeprefix(f"{name}."): said for key, said in told if key.startswith(f"{name}.")}


def wordings(said: str | list[str]) -> list[str]:
    return [said] if isinstance(said, str) else said


OF_USE = ast.Call | ast.JoinedStr | ast.Constant | ast.ClassDef | ast.FunctionDef


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    """Whatever of use stands in the source, with its file."""
    files = [each for part in ("contracts", "chassis", "services", "gateway") for each in (ROOT / part).rglob("*.py")]
    trees = [(str(each.relative_to(ROOT)), ast.parse(each.read_text("utf-8"))) for each in files]
    return [(file, node) for file, tree in trees for node in ast.walk(tree) if isinstance(node, OF_USE)]


@cache
def called() -> Mapping[str, list[tuple[str, ast.Call]]]:
    """Calls by the name of what is called."""
    found = defaultdict(list)
    for file, node in nodes():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            found[node.func.id if isinstance(node.func, ast.Name) else node.func.attr].append((file, node))
    return found


def calls(name: str, *, under: str = "") -> Iterator[ast.Call]:
    return (call for file, call in called()[name] if file.startswith(under))


def written(node: ast.AST) -> str | None:
    """A text as it stands in the source, with `{}` for each value; None where it stands somewhere else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return blank(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def blank(text: str) -> str:
    try:
        return "".join(part + ("{}" if name is not None else "") for part, name, _, _ in Formatter().parse(text))
    except ValueError:
        return text


def codes() -> set[str]:
    """All that are documented, which a test of the documents compares with the classes."""
    listed = {code(row[0]) for row in rows(section(page("problems.md"), "Without a class"))}
    return listed | {found["code"] for found in PROBLEM.finditer(page("problems.md"))}


@cache
def carried() -> Mapping[str, list[set[str]]]:
    """The members that problems of a code are raised with, place by place."""
    classes = {"".join(map(str.capitalize, code.split("_"))): code for code in codes()}
    inits = {
        node.name: [call for call in ast.walk(node) if isinstance(call, ast.Call) and is_init(call)]
        for _, node in nodes()
        if isinstance(node, ast.ClassDef) and node.name in classes
    }
    return {
        code: [
            {each.arg for each in call.keywords if each.arg} | COMMON for call in inits.get(name) or list(calls(name))
        ]
        for name, code in classes.items()
    }


def is_init(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "__init__"


@pytest.mark.parametrize("language", CHINESE)
def test_every_problem_is_said(language: str) -> None:
    assert area(language, "problems").keys() == codes()


@pytest.mark.parametrize("language", CHINESE)
def test_what_is_said_of_a_problem_names_only_what_it_carries(language: str) -> None:
    for name, said in area(language, "problems").items():
        raised = carried()[name] or [COMMON]
        named = {place for wording in wordings(said) for place in places(wording)}
        assert named <= set().union(*raised), name
        # The last wording is for whatever the ones before do not fit.
        assert all(any(set(places(each)) <= members for each in wordings(said)) for members in raised), name


def test_both_say_the_same_with_the_same_values() -> None:
    for name in ("problems", "errors", "sentences", "phrases"):
        first, second = (area(language, name) for language in CHINESE)
        assert first.keys() == second.keys()
        for key, said in first.items():
            assert [places(each) for each in wordings(said)] == [places(each) for each in wordings(second[key])], key


def test_every_kind_of_words_that_is_named_for_a_value_is_there() -> None:
    known = messages("zh-Hant")
    for name in ("problems", "errors", "sentences", "phrases"):
        for said in area("zh-Hant", name).values():
            for _, _, kind, _ in (part for wording in wordings(said) for part in Formatter().parse(wording)):
                assert (
                    kind in (None, "", "=", "-", "day", "instant")
                    or any(key.startswith(tuple(kind.split("|"))) for key in known)
                    or f"phrases.{kind}" in known
                ), said


def test_a_problem_tells_the_way_out_in_the_language_of_the_page() -> None:
    moved = {
        "code": "illegal_move",
        "detail": "A lost lead cannot become won.",
        "status_now": "lost",
        "allowed": ["new"],
    }
    assert telling("zh-Hant").problem(moved) == "這個商機目前為「流失」，只能改為：新的。"
    assert telling("zh-Hans").problem(moved | {"allowed": []}).startswith("这个线索目前为“流失”，不能再改变。")
    assert telling("en").problem(moved) == "A lost lead cannot become won."
    kept = telling("zh-Hant").problem({"code": "brought_later", "detail": "Not <known>."})
    assert isinstance(kept, English)
    assert escape(kept) == '<span lang="en">Not &lt;known&gt;.</span>'
    assert escape(telling("en").problem({"code": "brought_later", "detail": "Not <known>."})) == "Not &lt;known&gt;."


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")

    needed: int


EXAMPLES: list[tuple[Any, Any, str]] = [
    (Shape, {}, ""),
    (Shape, {"needed": 1, "more": 1}, ""),
    (Shape, [], ""),
    (str, 1, ""),
    (Annotated[str, Field(min_length=3)], "a", "3"),
    (Annotated[str, Field(max_length=3)], "aaaa", "3"),
    (Annotated[str, Field(pattern="a")], "b", ""),
    (int, [], ""),
    (int, "a", ""),
    (int, 1.5, ""),
    (float, [], ""),
    (float, "a", ""),
    (Annotated[float, Field(allow_inf_nan=False)], float("nan"), ""),
    (Annotated[Decimal, Field(max_digits=3)], "1234", "3"),
    (Annotated[Decimal, Field(decimal_places=2)], "1.234", "2"),
    (bool, "a", ""),
    (bool, [], ""),
    (Annotated[int, Field(gt=7)], 1, "7"),
    (Annotated[int, Field(ge=7)], 1, "7"),
    (Annotated[int, Field(lt=7)], 9, "7"),
    (Annotated[float, Field(le=0.25)], 9, "0.25"),
    (Annotated[float, Field(le=1)], 9, " 1 "),
    (Annotated[int, Field(multiple_of=7)], 1, "7"),
    (Literal["one", "two", "six"], "x", "one、two、six"),
    (Size, "x", "small、large"),
    (list[int], 1, ""),
    (dict[str, int], 1, ""),
    (tuple[int, ...], 1, ""),
    (Annotated[list[int], Field(min_length=2)], [], "2"),
    (Annotated[list[int], Field(max_length=2)], [1, 2, 3], "2"),
    (date, "x", ""),
    (date, [], ""),
    (date, "2026-01-01T08:00", ""),
    (AwareDatetime, "x", ""),
    (AwareDatetime, [], ""),
    (AwareDatetime, "2026-01-01T08:00:00", ""),
    (UUID, "x", ""),
    (AnyHttpUrl, "x", ""),
    (AnyHttpUrl, "ftp://x", "http、https"),
    (None, 1, ""),
]


@pytest.mark.parametrize("language", CHINESE)
@pytest.mark.parametrize(("type_", "value", "shown"), EXAMPLES)
def test_what_is_wrong_with_a_field_is_said_with_its_bounds(language: str, type_: Any, value: Any, shown: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        TypeAdapter(type_).validate_python(value)
    error = wrong.value.errors()[0]
    told = {"pointer": "#/a", "code": error["type"], "detail": error["msg"]} | bounds(error.get("ctx", {}))

    said = telling(language).errors({"errors": [told]})["a"]

    assert shown in said
    assert error["msg"] not in said, error["type"]


def test_an_own_rule_of_the_api_is_said_and_an_unknown_one_introduced() -> None:
    own = {str(call.args[0].value) for call in calls("PydanticCustomError") if isinstance(call.args[0], ast.Constant)}
    assert own <= area("zh-Hant", "errors").keys()
    unknown = {"pointer": "#/a", "code": "new", "detail": "Not <this>."}
    said = telling("zh-Hant").errors({"errors": [unknown]})["a"]
    assert escape(said) == '這個值無法使用，原文說明：<span lang="en">Not &lt;this&gt;.</span>'
    assert telling("en").errors({"errors": [unknown]}) == {"a": "Not <this>."}


def details() -> Iterator[tuple[str, ast.AST]]:
    """What the API says of rows, files, receivers, policies and gaps, and where it stands among what is handed over."""
    for name, place, under in (
        ("Unreadable", 1, "chassis/imports"),
        ("Unreadable", 1, "services"),
        ("UnreadableFile", 0, "chassis"),
        ("FileTooLarge", 0, "chassis"),
        ("Unreadable", 0, "chassis/envelope"),
        ("ForbiddenTarget", 0, "gateway"),
        ("BadIdentifier", 0, "contracts"),
        ("Difference", 1, "services/scoring"),
        ("ValueError", 0, "services/scoring/domain/stages"),
        ("ValueError", 0, "services/scoring/domain/tiers"),
        ("ValueError", 0, "services/scoring/domain/rules"),
        ("ValueError", 0, "services/scoring/domain/policy"),
        ("ValueError", 0, "gateway/console"),
        ("ValueError", 0, "gateway/models"),
    ):
        yield from ((name, call.args[place]) for call in calls(name, under=under) if len(call.args) > place)


def notes() -> Iterator[ast.AST]:
    """What an import says that it decided: the keys of what `notes` returns."""
    for file, node in nodes():
        if "/imports/" in file and isinstance(node, ast.FunctionDef) and node.name == "notes":
            for told in (each for each in ast.walk(node) if isinstance(each, ast.Dict)):
                yield from filter(None, told.keys)


def test_whatever_the_api_keeps_in_english_is_said() -> None:
    said = {blank(key) for key in area("zh-Hant", "sentences")}
    told = [written(node) for _, node in details()] + [written(node) for node in notes()]
    assert len([text for text in told if text]) > 100
    assert {text for text in told if text} - said == set()
    assert set(WAYS_OUT.values()) <= said


def test_nothing_is_said_that_the_api_does_not_say_any_more() -> None:
    texts = {written(node) for _, node in nodes()}
    errors = vars(aiohttp).keys() | vars(builtins).keys()
    assert [key for key in area("zh-Hant", "sentences") if blank(key) not in texts and key not in errors] == []


@pytest.mark.parametrize("language", CHINESE)
def test_every_difference_of_policies_is_said(language: str) -> None:
    pairs = [(drafted(WHOLE, otherwise(DOCUMENT, way)), WHOLE) for way in leaves(DOCUMENT)]
    pairs += [(one, other) for one in PRESETS.values() for other in PRESETS.values()]
    for now, before in (pair for pair in pairs for pair in (pair, pair[::-1])):
        for difference in differences(now, before):
            said = telling(language).sentence(difference.sentence)
            assert not isinstance(said, English), difference.sentence
            # A rule is told as it is written in the document.
            assert difference.field == "/vip" or not re.search("[a-z]+ [a-z]+", said), said


def told(sentences: Iterable[str], language: str = "zh-Hant") -> list[str]:
    return [telling(language).sentence(each) for each in sentences]


def test_values_in_a_sentence_are_said_too() -> None:
    assert told(
        [
            "10 tries in a row have failed since 2026-11-27 10:00 UTC, the last one with: answered 500."
            " Nothing is lost; resume it once the receiver takes messages again.",
            "The receiver has taken nothing since 2026-11-27 10:00 UTC; failed tries: 12."
            " It is still called; if that goes on, the webhook is paused."
            " What the feed told after 3 is kept no longer; it went on after 9.",
            "No column is the direction: it goes by the kind, inbound for contact, visit; outbound for offer.",
            "No column is the date: every row is of 2026-11-27.",
            "events 3 to 5 of epoch 1 are missing, and their log cannot be read: timed out",
            "This is not a phone number; write it as +COUNTRY NUMBER. It should be a phone number.",
            "",
        ]
    ) == [
        "自 2026-11-27 10:00（UTC）起連續 10 次嘗試失敗，最後一次：接收端回應 500。"
        "訊息沒有遺失；接收端恢復後，請讓它繼續。",
        "接收端自 2026-11-27 10:00（UTC）起未收下任何訊息，已失敗 12 次。系統仍會繼續嘗試；若持續如此，Webhook 將暫停。"
        "序號 3 之後的部分事件已不再保留，因此自序號 9 之後繼續。",
        "沒有「方向」欄：依互動類型決定（聯絡、來訪為對方主動；報價為我方主動）。",
        "沒有日期欄：每一列都算在 2026年11月27日。",
        "缺少第 1 期的事件 3 到 5，且無法讀取其日誌：timed out",
        "這不是電話號碼。請寫成 +國碼 號碼。",
        "",
    ]


def work_s(text: str) -> float:
    """Seconds of the processor that it takes to look for words: the least of some tries, of other texts each."""
    tries = []
    for number in range(9):
        began = process_time()
        told([f"{text}{number}"])
        tries.append(process_time() - began)
    return min(tries)


def test_a_text_four_times_as_long_takes_about_four_times_as_long_whatever_it_says() -> None:
    hostile = [" counts ", " for ", ", instead of "]

    def made(length: int) -> str:
        return "a" + "".join(piece * (length // 3 // len(piece)) for piece in hostile)

    assert work_s(made(LONGEST - 50)) < 10 * work_s(made(LONGEST // 4))


def test_values_in_values_are_said_to_a_depth_and_stand_as_they_are_below_it() -> None:
    deep = f"Before the first fit, the tier top begins at 3{' minor units' * 160}, instead of 2."
    [said] = told([deep])
    assert said.count("最小貨幣單位") == 1 + DEEPEST
    assert said.count("minor units") == 160 - 1 - DEEPEST
    assert told(["a" * LONGEST, "a" * (LONGEST + 1)]) == ["a" * LONGEST, "a" * (LONGEST + 1)]


def test_what_is_shortened_is_recognised_first() -> None:
    known = "events 3 to 5 of epoch 1 are missing, and their log cannot be read: timed out"
    assert telling("zh-Hant").sentence(known, 12) == "缺少第 1 期的事件 …"
    kept = telling("zh-Hant").sentence("Nobody knows this one.", 10)
    assert (kept, type(kept)) == ("Nobody kn…", English)
    assert telling("zh-Hant").sentence(known, 100) == telling("zh-Hant").sentence(known)
