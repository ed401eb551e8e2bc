"use strict";
// The page of a study: consent, instructions, trials, end. It asks no network but the server it
// came from; opened from disk it keeps answers itself and gives them as a file.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const main = document.getElementById("main");
  const status = document.getElementById("status");
  const isServed = data.mode === "server";
  const PAUSE = 500; // ms of empty page before each trial
  const pictures = new Map(); // name of a file to its decoded image
  let language = chosenLanguage();
  let session = null;
  let trials = [];
  let kept = { answers: [], asked: {}, begun: false, finished: false };
  let press = null; // what a key does now

  function chosenLanguage() {
    const known = Object.keys(data.texts);
    const wanted = (navigator.languages || [navigator.language]).map(tag => tag.slice(0, 2));
    return wanted.find(tag => known.includes(tag)) || (known.includes("en") ? "en" : known[0]);
  }

  function text(key, values = {}) {
    const filled = { target: data.target, ...values };
    return data.texts[language][key].replace(/\{(\w+)\}/g, (all, name) => filled[name] ?? all);
  }

  function element(name, properties = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (key in made && !key.includes("-")) made[key] = value;
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  function show(isWide, ...children) {
    press = null;
    main.className = isWide ? "wide" : "";
    main.replaceChildren(...children);
    const heading = main.querySelector("h1");
    if (heading) {
      heading.tabIndex = -1;
      heading.focus({ preventScroll: true });
    }
    window.scrollTo(0, 0);
  }

  // --- before the trials

  function welcome() {
    document.documentElement.lang = language;
    document.title = text("title");
    const agreed = element("input", { type: "checkbox", id: "agree" });
    const fields = data.asked.map((question, k) =>
      element("input", { type: "text", id: `asked${k}`, maxLength: 200, autocomplete: "off" }));
    const number = element("input", { type: "text", id: "session", inputMode: "numeric", maxLength: 6 });
    const begin = element("button", { className: "main", type: "button" }, text("begin"));
    const ready = () => {
      const isFilled = fields.every(field => field.value.trim());
      begin.disabled = !agreed.checked || !isFilled || (session === null && !isSession(number.value));
    };
    for (const each of [agreed, number, ...fields]) each.addEventListener("input", ready);
    begin.addEventListener("click", () => {
      if (session === null) takeSession(Number(number.value) - 1);
      data.asked.forEach((question, k) => { kept.asked[question] = fields[k].value.trim(); });
      start();
    });
    ready();
    show(false,
      ...languages(),
      element("h1", {}, text("title")),
      element("h2", {}, text("consent")),
      element("div", { className: "consent" }, ...data.consent[language].trim().split(/\n\s*\n/)
        .map(part => element("p", {}, part.replace("{trials}", data.count)))),
      ...(data.asked.length ? [element("h2", {}, text("asked"))] : []),
      ...data.asked.map((question, k) => element("label", {}, question, fields[k])),
      ...(session === null ? [element("label", {}, text("session"), number)] : []),
      element("label", { className: "inline", htmlFor: "agree" }, agreed, text("agree")),
      begin);
  }

  function languages() {
    const known = Object.keys(data.texts);
    if (known.length < 2) return [];
    const select = element("select", { "aria-label": "Language", id: "language" }, ...known.map(tag =>
      element("option", { value: tag, selected: tag === language, lang: tag }, data.texts[tag].language)));
    select.addEventListener("change", () => {
      language = select.value;
      welcome();
      document.getElementById("language").focus();
    });
    return [select];
  }

  function isSession(value) {
    return /^\d+$/.test(value.trim()) && Number(value) >= 1 && Number(value) <= data.sessions.length;
  }

  function takeSession(number) {
    session = number;
    trials = data.sessions[number];
    restore();
  }

  async function start() {
    kept.begun = true;
    if (isServed && !(await post("start", { asked: kept.asked, language }))) return;
    keep();
    instructions();
  }

  function instructions() {
    const asks = question();
    const practice = trials.filter(trial => trial.practice).length;
    const lines = [text(`do_${asks}`)];
    lines.push(data.seconds ? text("timed", { seconds: data.seconds }) : text("untimed"));
    if (practice) lines.push(text("practising", { number: practice }));
    const number = asks === "real-or-fake" ? 2 : Math.max(...trials.map(each => each.options.length));
    lines.push(text("no_way_back"), text("keys", { number }));
    const meter = element("p", { role: "status" });
    const go = element("button", { className: "main", type: "button", disabled: true }, text("start"));
    show(false, element("h1", {}, text("instructions")), ...lines.map(line => element("p", {}, line)),
      meter, go);
    const load = async () => {
      go.disabled = true;
      const isWhole = await loadAll((done, total) => {
        meter.textContent = done < total ? text("loading", { done, total }) : "";
      });
      meter.textContent = isWhole ? "" : text("not_loaded");
      go.textContent = text(isWhole ? "start" : "again");
      go.disabled = false;
      go.onclick = isWhole ? () => next() : load;
    };
    load();
  }

  async function loadAll(progress) {
    const left = trials.slice(kept.answers.length);
    const names = [...new Set(left.flatMap(each => [...(each.source ? [each.source] : []), ...each.options]))];
    let done = 0;
    progress(done, names.length);
    const queue = names.filter(name => !pictures.has(name));
    done = names.length - queue.length;
    const work = async () => {
      for (let name = queue.shift(); name; name = queue.shift()) {
        const picture = element("img", { alt: "", draggable: false, decoding: "sync" });
        picture.src = (data.pictures && data.pictures[name]) || data.base + name;
        try {
          await picture.decode();
          pictures.set(name, picture);
          progress(++done, names.length);
        } catch (error) { /* told below */ }
      }
    };
    await Promise.all(Array.from({ length: 6 }, work));
    return names.every(name => pictures.has(name));
  }

  // --- trials

  function question() {
    return data.asks === "best" && data.kind === "pair" ? "two" : data.asks;
  }

  async function next() {
    const number = kept.answers.length;
    if (number >= trials.length) { end(); return; }
    const trial = trials[number];
    const stage = layout(trial, number);
    show(true, ...stage.parts);
    await new Promise(resolve => setTimeout(resolve, PAUSE));
    const frame = await new Promise(requestAnimationFrame);
    stage.reveal(true);
    const shown = { from: frame, ms: null, isLeft: document.hidden };
    const leave = () => { if (document.hidden) shown.isLeft = true; };
    document.addEventListener("visibilitychange", leave);
    if (data.seconds) {
      shown.ms = await held(frame, data.seconds * 1000);
      stage.reveal(false);
      document.removeEventListener("visibilitychange", leave);
    }
    const choice = await stage.chosen();
    document.removeEventListener("visibilitychange", leave);
    const answer = { trial: number, choice, ms: Math.round(performance.now() - shown.from), left: shown.isLeft };
    if (shown.ms !== null) answer.shown_ms = Math.round(shown.ms);
    const saved = await save(answer, stage.notice);
    if (!saved) return;
    if (trial.practice) await feedback(trial, choice, stage);
    next();
  }

  // Holds until the frame that is nearest to the time.
  async function held(from, duration) {
    let before = from;
    for (;;) {
      const now = await new Promise(requestAnimationFrame);
      const step = Math.min(now - before, 50);
      if (now - from >= duration - step / 2) return now - from;
      before = now;
    }
  }

  function layout(trial, number) {
    const practice = trials.filter(each => each.practice).length;
    const [done, total] = trial.practice ? [number + 1, practice] : [number + 1 - practice, trials.length - practice];
    const meter = element("div", { className: "meter" },
      element("progress", { max: trials.length, value: number, "aria-label": text("progress", { done, total }) }),
      element("span", {}, text(trial.practice ? "practice" : "progress", { done, total })));
    const isSingle = data.asks === "real-or-fake";
    const frames = [];
    const framed = (name, label) => {
      const picture = pictures.get(name).cloneNode();
      picture.alt = label;
      const frame = element("span", { className: `frame gone${data.enlarge > 1 ? " sharp" : ""}` }, picture);
      const { naturalWidth, naturalHeight } = pictures.get(name);
      frame.style.width = `${naturalWidth * data.enlarge}px`;
      frame.style.height = `${naturalHeight * data.enlarge}px`;
      frames.push(frame);
      return frame;
    };
    const labels = isSingle ? [text("real"), text("fake")] : trial.options.map((_, k) => text("option", { number: k + 1 }));
    const buttons = labels.map((label, k) => element("button",
      { type: "button", className: "option", disabled: true, "aria-keyshortcuts": String(k + 1) },
      ...(isSingle ? [] : [framed(trial.options[k], label)]),
      element("span", {}, isSingle ? `${label} (${k + 1})` : label)));
    const source = trial.source
      ? [element("div", { className: "source" }, element("figure", {}, framed(trial.source, text("source")), element("figcaption", {}, text("source"))))]
      : [];
    const notice = element("div", { className: "feedback" });
    const images = isSingle ? [element("figure", {}, framed(trial.options[0], text("option", { number: 1 })))] : buttons;
    const parts = [meter, element("h1", {}, text(`ask_${question()}`)),
      element("div", { className: "shown" }, ...source, ...images),
      ...(isSingle ? [element("div", { className: "answers" }, ...buttons)] : []), notice];
    return {
      parts, notice, buttons,
      reveal: isShown => frames.forEach(frame => frame.classList.toggle("gone", !isShown)),
      chosen: () => choose(buttons),
    };
  }

  function choose(buttons) {
    return new Promise(resolve => {
      const take = k => {
        press = null;
        buttons.forEach(button => { button.disabled = true; });
        buttons[k].classList.add("chosen");
        resolve(k);
      };
      buttons.forEach((button, k) => {
        button.disabled = false;
        button.onclick = () => take(k);
      });
      press = key => {
        const arrows = buttons.length === 2 ? { ArrowLeft: 0, ArrowRight: 1 } : {};
        const k = key in arrows ? arrows[key] : "123456789".indexOf(key);
        if (k >= 0 && k < buttons.length && key.length) take(k);
      };
    });
  }

  async function feedback(trial, choice, stage) {
    stage.reveal(true);
    stage.buttons[trial.correct].classList.add("right");
    const said = text(trial.correct === choice ? "right" : "wrong");
    const go = element("button", { className: "main", type: "button" }, text("next"));
    stage.notice.replaceChildren(element("p", { role: "status" }, said), go);
    status.textContent = said;
    go.focus();
    await new Promise(resolve => { go.onclick = resolve; });
  }

  document.addEventListener("keydown", event => {
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || !press) return;
    press(event.key);
  });

  // --- answers

  async function save(answer, notice) {
    if (isServed && !(await post("answer", answer, notice))) return false;
    kept.answers.push(answer);
    keep();
    return true;
  }

  // Sends until the server has it on disk; false if it goes on elsewhere, or not at all.
  async function post(what, content, notice) {
    const slow = setTimeout(() => say(notice, "saving"), 1000);
    try {
      for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
        let reply = null;
        try {
          reply = await fetch(what, { method: "POST", body: JSON.stringify(content), headers: { "Content-Type": "application/json" }, cache: "no-store" });
        } catch (error) { /* no network, or no server: it is tried again */ }
        if (reply && reply.ok) {
          kept.state = await reply.json();
          say(notice, "");
          return true;
        }
        if (reply && reply.status === 409) { stop("elsewhere"); return false; }
        if (reply && reply.status < 500 && reply.status !== 429) { stop("refused"); return false; }
        say(notice, "unsaved");
        await new Promise(resolve => setTimeout(resolve, wait));
      }
    } finally { clearTimeout(slow); }
  }

  function say(notice, key) {
    const words = key ? text(key) : "";
    status.textContent = words;
    if (notice) notice.replaceChildren(...(key ? [element("p", { className: "notice" }, words)] : []));
  }

  function stop(key) {
    show(false, element("h1", {}, text("title")), element("p", { className: "notice" }, text(key)));
  }

  function place() { return `i2i-study-${data.study}-${session}`; }

  function keep() {
    if (isServed) return;
    try { localStorage.setItem(place(), JSON.stringify({ ...kept, language })); } catch (error) { /* then a reload begins anew */ }
  }

  function restore() {
    try {
      const found = JSON.parse(localStorage.getItem(place()));
      if (found && Array.isArray(found.answers) && found.answers.length <= trials.length) kept = { ...kept, ...found };
    } catch (error) { /* nothing was kept */ }
  }

  // --- the end

  function end() {
    kept.finished = true;
    keep();
    const code = data.completion_code || (isServed ? kept.state.code : check());
    const parts = [element("h1", {}, text("thanks"))];
    if (isServed) parts.push(element("p", {}, text("saved")));
    else parts.push(element("p", {}, text("send")), download());
    const [before, after] = text("code", { code: "\n" }).split("\n");
    parts.push(element("p", {}, before, element("span", { className: "code" }, code), after));
    show(false, ...parts);
  }

  function download() {
    const content = { study: data.study, session, language, asked: kept.asked, answers: kept.answers, check: check() };
    const file = new Blob([JSON.stringify(content, null, 1) + "\n"], { type: "application/json" });
    const go = element("button", { className: "main", type: "button" }, text("download"));
    go.addEventListener("click", () => {
      const link = element("a", { href: URL.createObjectURL(file), download: `answers-${session + 1}.json` });
      document.body.append(link);
      link.click();
      link.remove();
    });
    return go;
  }

  // FNV-1a over the answers: tells a file that was damaged or edited, and is no secret.
  function check() {
    const words = [data.study, session, ...kept.answers.map(a => `${a.trial}:${a.choice}:${a.ms}`)].join(";");
    let hash = 0x811c9dc5;
    for (const letter of words) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193) >>> 0;
    return hash.toString(16).padStart(8, "0");
  }

  function open() {
    if (isServed) {
      session = data.session;
      trials = data.trials;
      kept.state = data.state;
      kept.answers = new Array(data.state.next).fill(null);
      kept.begun = data.state.begun;
      if (data.texts[data.state.language]) language = data.state.language;
    } else {
      const number = "only" in data ? String(data.only + 1) : location.hash.slice(1);
      if (isSession(number)) takeSession(Number(number) - 1);
      if (data.texts[kept.language]) language = kept.language;
    }
    document.documentElement.lang = language;
    document.title = text("title");
    if (!kept.begun) welcome();
    else if (kept.answers.length >= trials.length) end();
    else instructions();
  }

  window.addEventListener("beforeunload", event => {
    if (!isServed && kept.begun && !kept.finished) event.preventDefault();
  });
  window.addEventListener("hashchange", () => location.reload());
  document.addEventListener("contextmenu", event => { if (event.target.tagName === "IMG") event.preventDefault(); });
  open();
})();
