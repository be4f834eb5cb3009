// How the index of a search stands, in a line: how much is in it, what is being read, and what one can order.
(() => {
  "use strict";

  const { make, bar, button, count, inWords } = window.pseudoword;
  const UNDER_WAY = ["waiting", "looking", "reading"];
  const ORDERS = {
    start: ["Look for new pictures", "start"],
    first: ["Read the pictures", "start"],
    on: ["Go on", "start"],
    pause: ["Pause", "pause"],
  };

  const isUnderWay = (now) => UNDER_WAY.includes(now.state);

  const says = (now) => {
    const known = `${count(now.pictures, "picture")} can be found`;
    if (now.state === "waiting") return `${known}; reading waits for its turn`;
    if (now.state === "looking") return `${known}; looking for new ones${now.total ? `, ${now.total.toLocaleString()} so far` : ""}`;
    if (now.state === "reading") return `${known}; reading ${now.done.toLocaleString()} of ${now.total.toLocaleString()}${now.seconds_left === null ? "" : `, ${inWords(now.seconds_left)}`}`;
    if (now.state === "paused") return `${known}; reading is paused`;
    return now.pictures ? known : "No pictures have been read yet. That takes the longer the larger the model, goes on in the background, and can be paused";
  };

  const unreadable = (all, files) => {
    const box = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = `${count(all, "file")} could not be read`;
    const list = document.createElement("ul");
    const more = all > files.length ? ["…"] : [];
    list.append(...[...files.map((one) => `${one.name}: ${one.reason}`), ...more].map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    box.append(summary, list);
    return box;
  };

  // Into `place`, where it is not there already; `order` is called with "start" or "pause".
  const draw = (place, now, order) => {
    if (place.dataset.shown === JSON.stringify(now) && place.querySelector("button")) return;
    place.dataset.shown = JSON.stringify(now);
    const wanted = isUnderWay(now) ? "pause" : now.state === "paused" ? "on" : now.pictures ? "start" : "first";
    const parts = [make("span", "search-known", `${says(now)}.`)];
    if (now.state === "reading") parts.push(bar(now.done, now.total || 1, "Pictures read"));
    const kept = place.querySelector(`button[data-order=${wanted}]`); // it may have the focus
    const [text, meaning] = ORDERS[wanted];
    const press = kept ?? button(text, () => order(meaning));
    press.dataset.order = wanted;
    parts.push(press);
    if (now.message) parts.push(make("p", "warning", now.message));
    if (now.unreadable) parts.push(unreadable(now.unreadable, now.reasons));
    const had = document.activeElement === kept;
    const wasOpen = place.querySelector("details")?.open;
    place.replaceChildren(...parts);
    if (wasOpen && place.querySelector("details")) place.querySelector("details").open = true;
    if (had) press.focus();
  };

  window.pseudoword.indexLine = { draw, isUnderWay };
})();
