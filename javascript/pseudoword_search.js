// Finds pictures by a text or by another picture: the server searches, the page asks and shows what is found.
(() => {
  "use strict";

  const { make, button, count, isSeen, aboutClip, asked } = window.pseudoword;
  const { indexLine } = window.pseudoword;
  const { address, hitOf, detailsOf } = window.pseudoword.found;
  const READING_MS = 1000;
  const IDLE_MS = 4000;
  const UNSEEN_MS = 200; // nothing is asked for meanwhile: whoever opens the tab wants to see it at once
  const HITS = 48;
  const ROUTE = "pseudoword/v1/search";
  const FILTERS = ["since", "until", "checkpoint", "least", "most", "words"];

  const state = { text: "", like: "", sample: null, model: "", folder: "", since: "", until: "", checkpoint: "", least: "", most: "", words: "" };
  let shown = null; // the hits that are shown: the last answer, all its hits so far, and the query they answer
  let chosen = null; // the hit whose details are open
  let index = null; // how the index stood last
  let refused = null; // the model and folder of which the server said that it has no index
  let asking = 0;

  const query = (more = {}) => {
    const wanted = { ...state, ...more };
    delete wanted.sample;
    return new URLSearchParams(Object.entries(wanted).filter(([, value]) => value !== "" && value !== null));
  };
  const place = () => document.getElementById("pseudoword-search");
  const part = (name) => place().querySelector(`.pseudoword-search-${name}`);

  const posted = async (route, body) => {
    const answer = await fetch(`${ROUTE}/${route}`, { method: "POST", body });
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(typeof told.detail === "string" ? told.detail : `the server answered ${answer.status}`);
    return told;
  };

  const tell = (text, kind = "warning") => {
    part("message").replaceChildren(...(text ? [make("p", kind, text)] : []));
  };

  // ---- the form -----------------------------------------------------------------------------------------------------

  const field = (name, label, attributes = {}) => {
    const box = make("label", `search-field pseudoword-search-of-${name}`);
    box.append(make("span", "search-label", label));
    const input = document.createElement(attributes.type === "select" ? "select" : "input");
    if (attributes.type === "select") input.append(new Option(attributes.first, ""));
    else Object.assign(input, attributes);
    input.name = name;
    input.addEventListener("change", () => { state[name] = input.value.trim(); changed(name); });
    box.append(input);
    return box;
  };

  // Other pictures, or the same as another model sees them: how the index of those stands is asked first.
  const changed = async (name) => {
    const isOther = name === "folder" || name === "model";
    if (name === "model") drawClip();
    if (!isOther) { if (shown) search(); return; }
    clearHits();
    await look(true); // which shows the latest by itself
    if (index?.pictures && (state.text || state.like)) search();
  };

  const form = () => {
    const box = document.createElement("form");
    box.className = "pseudoword-search-form";
    box.setAttribute("role", "search");
    const line = make("div", "search-line");
    const text = Object.assign(document.createElement("input"), { type: "search", name: "text", placeholder: "a castle by a lake at night", maxLength: 2000 });
    text.setAttribute("aria-label", "What the pictures show");
    const go = make("button", "search-go", "Search");
    go.type = "submit";
    line.append(text, go, pictureField());
    const more = document.createElement("details");
    more.className = "pseudoword-search-more";
    const summary = document.createElement("summary");
    summary.textContent = "Filters, folder, model";
    const fields = make("div", "search-fields");
    fields.append(
      field("since", "From", { type: "date" }), field("until", "To", { type: "date" }),
      field("checkpoint", "Checkpoint", { type: "select", first: "any" }),
      field("least", "Score from", { type: "number", step: "any", placeholder: "any" }), field("most", "Score to", { type: "number", step: "any", placeholder: "any" }),
      field("words", "Words in the prompt", { type: "text", placeholder: "any", maxLength: 2000 }),
      field("folder", "Folder", { type: "text", placeholder: "the generated pictures" }),
      field("model", "CLIP model", { type: "select", first: "the best here" }),
    );
    more.append(summary, fields, make("p", "small", "Scores are CLIPScores of pictures with their own prompts, by the same model."));
    box.append(line, make("div", "search-like"), more);
    box.addEventListener("submit", async (event) => {
      event.preventDefault();
      state.text = text.value.trim();
      if (state.text) setLike(null);
      if (refused !== null) await look(true);
      if (refused === null) search();
    });
    return box;
  };

  const pictureField = () => {
    const box = make("label", "library-button pseudoword-search-picture", "Search with a picture");
    const input = Object.assign(document.createElement("input"), { type: "file", accept: "image/*" });
    input.addEventListener("change", () => { if (input.files[0]) useSample(input.files[0]); input.value = ""; });
    box.append(input);
    return box;
  };

  let models = null; // as the server told them when the tab was opened first
  const listModels = async () => {
    const select = place().querySelector("select[name=model]");
    try {
      models = await (await asked("clips")).json();
      for (const model of models.here.filter((one) => one.is_usable)) select.append(new Option(model.name, model.name));
      drawClip();
    } catch (problem) {
      tell(`The models cannot be listed (${problem.message}).`);
    }
  };

  const drawClip = () => { if (models) part("clip").replaceChildren(aboutClip(models, state.model)); };

  const listCheckpoints = (names) => {
    const select = place().querySelector("select[name=checkpoint]");
    const known = [...select.options].slice(1).map((option) => option.value);
    if (JSON.stringify(known) === JSON.stringify(names)) return;
    select.replaceChildren(new Option("any", ""), ...names.map((name) => new Option(name, name)));
    select.value = names.includes(state.checkpoint) ? state.checkpoint : "";
  };

  // ---- pictures to look for others like them --------------------------------------------------------------------------

  const setLike = (like) => {
    state.like = like ? like.id : "";
    const told = part("like");
    if (told.dataset.address) URL.revokeObjectURL(told.dataset.address);
    delete told.dataset.address;
    if (!like) { told.replaceChildren(); return; }
    if (like.isOwn) told.dataset.address = like.address;
    const image = Object.assign(document.createElement("img"), { src: like.address, alt: "" });
    told.replaceChildren(image, make("span", "search-like-name", `Like ${like.name}`), button("Clear", () => { setLike(null); search(); }));
    place().querySelector("input[name=text]").value = state.text = "";
  };

  const useSample = async (file) => {
    tell("Reading the picture …", "note");
    try {
      const { like } = await posted(`sample?${new URLSearchParams({ model: state.model })}`, file);
      tell("");
      setLike({ id: like, name: file.name || "the picture", address: URL.createObjectURL(file), isOwn: true });
      await search();
    } catch (problem) {
      tell(problem.message);
    }
  };

  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (!file || !isSeen(place())) return;
    event.preventDefault();
    useSample(file);
  });

  // ---- searching ------------------------------------------------------------------------------------------------------

  const search = async () => {
    const mine = ++asking;
    const wanted = query({ first: 0, count: HITS });
    tell(index ? "" : "Loading the CLIP model …", "note");
    part("hits").setAttribute("aria-busy", "true");
    try {
      const found = await (await asked(`search?${wanted}`)).json();
      if (mine !== asking) return;
      tell("");
      shown = { found, hits: found.hits, query: query() };
      choose(null);
      drawHits();
    } catch (problem) {
      if (mine !== asking) return;
      shown = null;
      part("hits").replaceChildren();
      part("found").textContent = "";
      tell(problem.message);
    } finally {
      if (mine === asking) part("hits").removeAttribute("aria-busy");
    }
  };

  const searchOn = async (more) => {
    more.disabled = true;
    const answers = shown;
    try {
      const wanted = new URLSearchParams([...answers.query, ["first", answers.hits.length], ["count", HITS]]);
      const found = await (await asked(`search?${wanted}`)).json();
      if (answers !== shown) return;
      const start = answers.hits.length;
      answers.hits = [...answers.hits, ...found.hits];
      part("hits").append(...found.hits.map((hit, place_) => itemOf(hit, start + place_)));
      offerMore(found.hits.length === HITS);
      if (found.hits.length) part("hits").children[start].querySelector("button").focus();
    } catch (problem) {
      tell(problem.message);
      more.disabled = false;
    }
  };

  const headline = () => {
    const { found, hits } = shown;
    if (!found.among) return index && !index.pictures ? "" : "No picture fits the filters."; // the index says the former
    if (!hits.length) return "Nothing is left of what was found: the files are gone. Look for new pictures.";
    const order = state.text || state.like ? "the best first" : "the latest first";
    return `Of ${count(found.among, "picture")}, ${order} (${found.model})${found.note && `. ${found.note}`}`;
  };

  const clearHits = () => {
    [shown, chosen] = [null, null];
    tell("");
    for (const name of ["hits", "found", "on"]) part(name).replaceChildren();
  };

  const drawHits = () => {
    part("found").textContent = headline();
    part("hits").replaceChildren(...shown.hits.map(itemOf));
    offerMore(shown.hits.length === HITS);
  };

  const offerMore = (isMore) => {
    const more = button("Show more", () => searchOn(more));
    part("on").replaceChildren(...(isMore ? [more] : []));
  };

  // ---- one picture ----------------------------------------------------------------------------------------------------

  const itemOf = (hit, number) => hitOf(hit, number, { open: (one, item) => choose(chosen === one ? null : one, item), close: closeChosen });

  const closeChosen = () => {
    if (!chosen) return;
    const pressed = part("hits").querySelector("[aria-expanded=true]");
    choose(null);
    pressed?.focus();
  };

  const moreLike = (hit) => {
    setLike({ id: hit.id, name: hit.name, address: address(hit, "small.jpg"), isOwn: false });
    search();
    place().scrollIntoView({ block: "start" });
  };

  const choose = (hit, item) => {
    part("hits").querySelector(".pseudoword-search-details")?.remove();
    for (const one of part("hits").querySelectorAll("[aria-expanded=true]")) one.setAttribute("aria-expanded", "false");
    chosen = hit;
    if (!hit) return;
    item.querySelector("button").setAttribute("aria-expanded", "true");
    // Below the row that the picture stands in.
    const items = [...part("hits").querySelectorAll(".pseudoword-search-hit")];
    const lastInRow = items.filter((one) => one.offsetTop === item.offsetTop).pop();
    const details = detailsOf(hit, { close: closeChosen, more: moreLike });
    lastInRow.after(details);
    details.scrollIntoView({ block: "nearest" });
  };

  // ---- the index ------------------------------------------------------------------------------------------------------

  const drawIndex = (now) => {
    index = now;
    indexLine.draw(part("index"), now, order);
    listCheckpoints(now.checkpoints);
  };

  const order = async (name) => {
    try {
      drawIndex(await posted(`${name}?${new URLSearchParams({ model: state.model, folder: state.folder })}`));
    } catch (problem) {
      tell(problem.message);
    }
  };

  const furnish = (box) => {
    const status = make("div", "search-index", "Loading the CLIP model …");
    status.setAttribute("role", "status");
    const found = make("p", "search-found");
    found.setAttribute("role", "status");
    const hits = make("ul", "search-hits");
    hits.setAttribute("aria-label", "Pictures that were found");
    box.append(form(), make("div", "search-message"), status, make("div", "search-clip"), found, hits, make("div", "search-on"));
    listModels();
    box.addEventListener("dragover", (event) => event.preventDefault());
    box.addEventListener("drop", (event) => {
      const file = [...event.dataTransfer.files].find((one) => one.type.startsWith("image/"));
      if (!file) return;
      event.preventDefault();
      event.stopPropagation();
      useSample(file);
    });
  };

  // What it is that the server cannot do is not asked again and again: a folder that is missing is to be named here.
  const isRefusal = (problem) => (problem.status >= 400 && problem.status < 500 && problem.status !== 429) || problem.status === 501;
  const askForFolder = () => {
    const field = part("of-folder");
    if (!field.closest("details")) return;
    field.querySelector("input").placeholder = "path of a folder";
    part("more").before(field);
    part("more").querySelector("summary").textContent = "Filters, model";
  };

  let looked = 0;
  const look = async (again = false) => {
    const box = place();
    if (!isSeen(box)) return;
    if (!box.childElementCount) furnish(box);
    const wanted = JSON.stringify([state.model, state.folder]);
    if (refused === wanted && !again) return;
    const mine = ++looked;
    try {
      const now = await (await asked(`search/index?${new URLSearchParams({ model: state.model, folder: state.folder })}`)).json();
      if (mine !== looked) return;
      refused = null;
      const isNew = !shown || now.pictures !== index?.pictures;
      const isIdle = !state.text && !state.like && !chosen && !part("hits").contains(document.activeElement);
      const hasFoundNone = shown?.hits.length === 0;
      const isFiltered = FILTERS.some((name) => state[name]);
      drawIndex(now);
      // The latest, before anything is looked for; and again where there must be some, which came after the last answer.
      if (now.pictures && ((isNew && (isIdle || hasFoundNone)) || (isIdle && hasFoundNone && !isFiltered))) search();
    } catch (problem) {
      if (mine !== looked) return;
      index = null;
      refused = isRefusal(problem) ? wanted : null;
      part("index").replaceChildren(make("p", "warning", problem.message));
      if (refused === null) return;
      clearHits();
      if (state.folder || !state.model) askForFolder();
    }
  };

  let wasSeen = false;
  const lookOn = async () => {
    const isOpened = isSeen(place()) && !wasSeen; // meanwhile there may be a folder
    wasSeen = isSeen(place());
    await look(isOpened);
    const isUnderWay = index && indexLine.isUnderWay(index);
    window.setTimeout(lookOn, !isSeen(place()) ? UNSEEN_MS : isUnderWay ? READING_MS : IDLE_MS);
  };

  window.setTimeout(lookOn, READING_MS);
})();
