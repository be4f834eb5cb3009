// Shows which layer is remembered for the checkpoint that is loaded now, as long as somebody can see it.
(() => {
  "use strict";

  const { isSeen, asked } = window.pseudoword;
  const EVERY_MS = 2000;

  const look = async (box) => {
    if (!isSeen(box)) return;
    try {
      box.textContent = (await (await asked("layers/remembered")).json()).says;
    } catch (problem) {
      box.textContent = `The server cannot be reached (${problem.message}); trying again.`;
    }
  };

  const lookAtAll = async () => {
    await Promise.all([...document.querySelectorAll(".pseudoword-remembered")].map(look));
    window.setTimeout(lookAtAll, EVERY_MS);
  };

  window.setTimeout(lookAtAll, EVERY_MS);
})();
