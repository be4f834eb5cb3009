// The pictures that a search found: each as a tile, and one with all that is known of it and can be done with it.
(() => {
  "use strict";

  const { make, button } = window.pseudoword;
  const ROUTE = "pseudoword/v1/search";

  const address = (hit, file) => `${ROUTE}/pictures/${encodeURIComponent(hit.id)}/${file}`;

  const figure = (hit) => {
    const figures = [];
    if (hit.cosine !== null) figures.push(hit.cosine.toFixed(3));
    if (hit.score !== null) figures.push(`score ${hit.score.toFixed(1)}`);
    return figures.join(", ");
  };

  // Arrow keys go from picture to picture, Escape closes what is open.
  const step = (event, item, close) => {
    if (event.key === "Escape") { close(); return; }
    const items = [...item.parentElement.querySelectorAll(".pseudoword-search-hit")];
    const here = items.indexOf(item);
    const inRow = items.filter((one) => one.offsetTop === items[0].offsetTop).length || 1;
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, ArrowDown: here + inRow, ArrowUp: here - inRow, Home: 0, End: items.length - 1 }[event.key];
    if (to === undefined || !items[to]) return;
    event.preventDefault();
    items[to].querySelector("button").focus();
  };

  // One of the pictures that were found; `open` is called when it is pressed, `close` on Escape.
  const hitOf = (hit, number, { open, close }) => {
    const item = make("li", "search-hit");
    const press = button("", () => open(hit, item), "search-open");
    press.setAttribute("aria-expanded", "false");
    const image = document.createElement("img");
    image.loading = "lazy";
    image.alt = "";
    image.src = address(hit, "small.jpg");
    image.addEventListener("error", () => item.classList.add("pseudoword-search-gone"));
    press.append(image, make("span", "search-name", hit.name), make("span", "search-figure", figure(hit)));
    press.title = `${hit.folder}/${hit.name}`;
    press.addEventListener("keydown", (event) => step(event, item, close));
    item.dataset.number = number;
    item.append(press);
    return item;
  };

  // All of one picture, and what can be done with it; `close` is called on Escape, `more` for others like it.
  const detailsOf = (hit, { close, more }) => {
    const details = make("li", "search-details");
    details.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
    const picture = window.pseudoword.picture(address(hit, "file"), hit.name);
    const told = make("div", "search-told");
    const when = new Date(hit.changed_s * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    const facts = [hit.folder, when, hit.checkpoint, figure(hit)].filter((text) => text);
    told.append(make("p", "search-title", hit.name), make("p", "small", facts.join(" · ")));
    if (hit.prompt) told.append(make("p", "search-prompt", hit.prompt));
    const said = make("p", "small");
    said.setAttribute("role", "status");
    const actions = make("div", "search-actions");
    actions.append(...actionsOf(hit, said, more));
    told.append(actions, said);
    details.append(picture, told);
    return details;
  };

  const carried = (hit) => ({ id: hit.id, name: hit.name, address: address(hit, "file") });

  const actionsOf = (hit, said, more) => {
    const { sending } = window.pseudoword;
    const trying = (work) => async () => {
      said.textContent = "…";
      try { said.textContent = (await work()) ?? ""; } catch (problem) { said.textContent = problem.message; }
    };
    const found = [button("More like this", () => more(hit))];
    if (document.getElementById("pseudoword_sent")) found.push(button("Send to img2img", trying(() => sending.toImg2img(carried(hit)))));
    if (document.getElementById("pnginfo_image")) found.push(button("Send to PNG info", trying(() => sending.toPngInfo(carried(hit)))));
    if (document.getElementById("pseudoword_pictures")) found.push(button("Add to the training set", trying(() => sending.toTraining(carried(hit)))));
    const link = make("a", "library-button", "Download");
    link.href = address(hit, "file");
    link.download = hit.name;
    found.push(link);
    return found;
  };

  window.pseudoword.found = { address, hitOf, detailsOf };
})();
