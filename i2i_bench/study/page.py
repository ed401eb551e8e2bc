"""The page of a study as one HTML file, from disk or from the server."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from i2i_bench.study.plan import IMAGES, PAGE, TEXTS, Session, Study, Trial
from i2i_bench.study.texts import PageTexts, read_texts
from i2i_bench.system.files import write_text

INDEX = "index.html"
_HERE = Path(__file__).parent


def shown_trials(session: Session) -> list[dict[str, Any]]:
    """Give what the page may know of trials: no truth but of practice."""
    return [_shown(trial) for trial in session]


def _shown(trial: Trial) -> dict[str, Any]:
    found: dict[str, Any] = {"options": trial.options}
    if trial.source is not None:
        found["source"] = trial.source
    if trial.kind == "practice":
        found |= {"practice": True, "correct": trial.correct}
    return found


def common_data(study: Study, texts: PageTexts) -> dict[str, Any]:
    """Give what every session's page holds."""
    plan, settings = study.plan, study.plan.settings
    return {
        "study": study.id,
        "kind": plan.kind,
        "asks": settings.asks,
        "seconds": settings.seconds,
        "enlarge": settings.enlarge,
        "target": plan.target,
        "count": max(len(session) for session in study.sessions),
        "asked": plan.asked,
        "completion_code": plan.completion_code,
        "texts": texts.texts,
        "consent": texts.consent,
    }


def render_page(data: Mapping[str, Any]) -> tuple[str, str]:
    """Write the page around its data.

    Returns:
        The page, and its content security policy.
    """
    style, script = (_text(f"page.{kind}") for kind in ("css", "js"))
    policy = (
        f"default-src 'none'; img-src 'self' file: data:; connect-src 'self'; "
        f"style-src {_digest(style)}; script-src {_digest(script)}; base-uri 'none'; "
        "form-action 'none'"
    )
    texts = next(iter(data["texts"].values()))
    page = string.Template(_text("page.html")).substitute(
        policy=html.escape(policy),
        title=html.escape(texts["title"]),
        style=style,
        script=script,
        data=json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
    )
    return page, policy


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def write_offline_page(study: Study) -> Path:
    """Write the page that opens from disk, with all sessions; give its place."""
    data = common_data(study, read_texts(study.folder / TEXTS)) | {
        "mode": "file",
        "base": f"{IMAGES}/",
        "sessions": [shown_trials(session) for session in study.sessions],
    }
    path = study.folder / PAGE / INDEX
    write_text(path, render_page(data)[0])
    return path


def write_single_page(study: Study, number: int, path: Path) -> None:
    """Write the page of one session, its images within, as one file to send by mail.

    Args:
        study: Of which.
        number: Of the session, from 0.
        path: Where to.
    """
    sessions: list[Sequence[Any]] = [[] for _ in study.sessions]
    session = study.sessions[number]
    sessions[number] = shown_trials(session)
    names = {name for t in session for name in (*t.options, t.source) if name is not None}
    data = common_data(study, read_texts(study.folder / TEXTS)) | {
        "mode": "file",
        "base": "",
        "only": number,
        "sessions": sessions,
        "pictures": {name: _as_address(study, name) for name in sorted(names)},
    }
    write_text(path, render_page(data)[0])


def _as_address(study: Study, name: str) -> str:
    content = (study.folder / PAGE / IMAGES / name).read_bytes()
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
