(() => {
  "use strict";
  const specs = JSON.parse(document.getElementById("charts").textContent);
  const views = new Map();

  // Draws the charts of a part of the page that have not been drawn yet; a hidden one would have no width.
  function draw(part) {
    return Promise.all([...part.querySelectorAll(".chart")].map(async (box) => {
      if (views.has(box.id) || !box.clientWidth) return;
      views.set(box.id, null);
      const made = await vegaEmbed(box, specs[box.id], { actions: false, renderer: "svg" });
      views.set(box.id, made.view);
      box.dataset.drawn = "yes";
    }));
  }

  async function save(id) {
    const view = views.get(id);
    if (!view) return;
    const link = document.createElement("a");
    link.href = await view.toImageURL("png", 2);
    link.download = id + ".png";
    link.click();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.png");
    if (button) save(button.dataset.chart);
  });
  for (const part of document.querySelectorAll("details")) {
    part.addEventListener("toggle", () => { if (part.open) draw(part); });
  }
  // On paper there is nothing to click: every channel is shown, and closed again afterwards.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const part of closed) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of closed) part.open = false; });
  window.rmetricsCharts = { views, draw };
  draw(document).then(() => { document.body.dataset.ready = "yes"; });
})();
