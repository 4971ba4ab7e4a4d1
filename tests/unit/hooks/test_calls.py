"""What may stand after ``hooks.NAME =``: a function's name or path, and its arguments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circus.hooks.calls import RESERVED, Call, parse_call
from circus.hooks.specs import Lifecycle
from circus.kinds import HOOKS


@pytest.mark.parametrize(
    ("text", "name", "args", "kwargs"),
    [
        ("package.module.function", "package.module.function", (), {}),
        (" package.module:function ", "package.module:function", (), {}),
        ("./hooks.py:function", "./hooks.py:function", (), {}),
        ("wait_for_port()", "wait_for_port", (), {}),
        ("wait_for_port ( )", "wait_for_port", (), {}),
        ("wait_for_port(localhost:6379)", "wait_for_port", ("localhost:6379",), {}),
        ("wait_for_port(localhost:6379, timeout=10)", "wait_for_port", ("localhost:6379",), {"timeout": "10"}),
        ("f(a,b , c = d)", "f", ("a", "b"), {"c": "d"}),
        ("wait_for_http(http://localhost/?a=b)", "wait_for_http", ("http://localhost/?a=b",), {}),
        ("f('a, b', k=\"c), d\")", "f", ("a, b",), {"k": "c), d"}),
        ("f('', k='')", "f", ("",), {"k": ""}),
        ("""f("it's")""", "f", ("it's",), {}),
        ("f('A=1')", "f", ("A=1",), {}),
        ('run_command(sh -c "date, (time)" , timeout=3)', "run_command", ('sh -c "date, (time)"',), {"timeout": "3"}),
        ('run_command("my program" --all "x")', "run_command", ('"my program" --all "x"',), {}),
        ("run_command(test (a, b) = c)", "run_command", ("test (a, b) = c",), {}),
    ],
)
def test_what_is_accepted(text: str, name: str, args: tuple[str, ...], kwargs: dict[str, str]) -> None:
    assert parse_call(text) == Call(name, args, kwargs)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names no function"),
        ("(a)", "names no function"),
        ("f(a", "the bracket is not closed"),
        ("f('a)", "the quote ' is not closed"),
        ("f(it's)", "the quote ' is not closed"),
        ("f(a) b", "b stands after the last bracket"),
        ("f(a))", ") stands after the last bracket"),
        ("f(a,)", "an argument is empty"),
        ("f(,a)", "an argument is empty"),
        ("f(k=)", "an argument is empty"),
        ("f(k=1, a)", "a stands after key=value"),
        ("f(k=1, k=2)", "k is given twice"),
        ("f(time=1)", "time is what the hook itself passes"),
    ],
)
def test_what_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"accepted|write|leave out|leave one out|call the argument") as caught:
        parse_call(text)
    assert why in str(caught.value)


WORDS = st.text(st.characters(exclude_characters="\"'", exclude_categories=["Cs"]))


@given(args=st.lists(WORDS), kwargs=st.dictionaries(st.from_regex(r"k_[a-z]\w*", fullmatch=True), WORDS))
def test_any_texts_in_quotes_come_through(args: list[str], kwargs: dict[str, str]) -> None:
    inside = [f"'{word}'" for word in args] + [f'{key}="{word}"' for key, word in kwargs.items()]
    assert parse_call(f"f({', '.join(inside)})") == Call("f", tuple(args), kwargs)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert parse_call(text).name
    except ValueError as error:
        assert str(error)


def test_reserved_is_what_the_hooks_pass() -> None:
    passed: set[str] = set()
    for hook in HOOKS:
        code = getattr(Lifecycle, hook).__code__
        passed.update(code.co_varnames[1 : code.co_argcount])
    assert passed == RESERVED
