// What every panel's script needs; the other files in this folder are loaded after this one.
(() => {
  "use strict";

  const make = (tag, name, text = "") => {
    const element = document.createElement(tag);
    element.className = `pseudoword-${name}`;
    element.textContent = text;
    return element;
  };

  const button = (text, onPress, name = "library-button") => {
    const element = make("button", name, text);
    element.type = "button";
    element.addEventListener("click", onPress);
    return element;
  };

  const count = (many, one) => `${many.toLocaleString()} ${one}${many === 1 ? "" : "s"}`;

  const number = (value, digits = 4) => (value === null || value === undefined ? "–" : value.toPrecision(digits));

  const inWords = (seconds) => {
    if (seconds >= 5400) return `${Math.round(seconds / 3600)} hours left`;
    if (seconds >= 90) return `${Math.round(seconds / 60)} minutes left`;
    return `${Math.max(1, Math.round(seconds))} s left`;
  };

  // A picture that opens in its full size, by mouse or keyboard.
  const picture = (address, alternative) => {
    const image = make("img", "picture");
    image.src = address;
    image.alt = alternative;
    image.title = "Opens in its full size";
    image.tabIndex = 0;
    const open = () => window.open(image.src, "_blank", "noopener");
    image.addEventListener("click", open);
    image.addEventListener("keydown", (event) => { if (event.key === "Enter") open(); });
    return image;
  };

  const bar = (done, total, meaning) => {
    const element = make("progress", "bar");
    element.max = total;
    element.value = done;
    element.setAttribute("aria-label", meaning);
    return element;
  };

  const isSeen = (element) => element && element.offsetParent !== null && !document.hidden;

  // Gradio hangs the id on the button itself, or on what is around it.
  const buttonCalled = (name) => {
    const element = document.getElementById(`pseudoword_${name}`);
    return element && element.tagName !== "BUTTON" ? element.querySelector("button") : element;
  };

  // A button that makes no sense now can be seen, and not pressed.
  const enable = (name, makesSense) => {
    const element = buttonCalled(name);
    if (!element) return;
    element.disabled = !makesSense;
    element.classList.toggle("pseudoword-idle", !makesSense);
  };

  // What to know of the CLIP model called `name`, of the best one there where none is named.
  const aboutClip = (models, name) => {
    const note = models.here.find((one) => one.name === (name || models.default))?.note ?? "";
    const chosen = name ? `${name} is chosen.` : `The best on this disk is ${models.default}.`;
    return make("p", note ? "warning" : "small", `${chosen} ${note}`.trim());
  };

  // The WebUI's cards of embeddings, which it reads again only when told to.
  const CARDS = ["txt2img", "img2img"].map((tab) => `${tab}_textual_inversion_extra_refresh_internal`);
  const refreshCards = () => {
    for (const id of CARDS) document.getElementById(id)?.dispatchEvent(new Event("click"));
  };

  // Type `text` into a field of Gradio's.
  const fill = (name, text) => {
    const field = document.getElementById(`pseudoword_${name}`)?.querySelector("textarea, input");
    if (!field) return;
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  };

  // Open the tabs that `element` lies in, in the WebUI's Gradio and in today's.
  const openTabsOf = (element) => {
    for (let panel = element.parentElement; panel; panel = panel.parentElement) {
      if (!panel.matches(".tabitem")) continue;
      const named = panel.id && document.querySelector(`button[role=tab][aria-controls="${CSS.escape(panel.id)}"]`);
      const panels = [...panel.parentElement.children].filter((one) => one.matches(".tabitem"));
      const buttons = panel.parentElement.querySelectorAll(":scope > .tab-nav > button");
      (named || buttons[panels.indexOf(panel)])?.click();
    }
  };

  const asked = async (route) => {
    const answer = await fetch(`pseudoword/v1/${route}`, { cache: "no-store" });
    if (!answer.ok) {
      const told = await answer.json().catch(() => ({}));
      const problem = new Error(typeof told.detail === "string" ? told.detail : `the server answered ${answer.status}`);
      throw Object.assign(problem, { status: answer.status });
    }
    return answer;
  };

  const fileAt = async (address, name) => {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${name} is no longer there, or was changed; choose it again.`);
    const content = await answer.blob();
    return new File([content], name, { type: content.type });
  };

  window.pseudoword = { make, button, count, number, inWords, picture, bar, isSeen, buttonCalled, enable, aboutClip, refreshCards, fill, openTabsOf, asked, fileAt };
})();
