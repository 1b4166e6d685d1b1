// Dark pages print light: ink on white paper.
const paper = window.matchMedia("print");
let onScreen = null;
paper.addEventListener("change", () => {
  const page = document.documentElement;
  if (paper.matches) {
    onScreen = page.dataset.theme;
    page.dataset.theme = "light";
  } else if (onScreen) {
    page.dataset.theme = onScreen;
  }
});

// What theme and docutils leave out for people who read by keyboard or by ear; browser tests check it with axe-core.
const missing = {
  // Wide tables scroll sideways, so the keyboard must reach what scrolls.
  ".pst-scrollable-table-container": { tabindex: "0", role: "group", "aria-label": "Table" },
  // A heading says which cells it is of.
  "thead th:not([scope])": { scope: "col" },
  // Entries of a bibliography are no list items, and their role has been withdrawn from ARIA.
  ".citation-list": { role: null },
  ".citation": { role: null },
  // Title, search and contents stand outside all landmarks.
  "div#pst-primary-sidebar": { role: "region", "aria-label": "Title, search and contents" },
};
document.addEventListener("DOMContentLoaded", () => {
  for (const [which, attributes] of Object.entries(missing)) {
    for (const element of document.querySelectorAll(which)) {
      for (const [name, value] of Object.entries(attributes)) {
        if (value === null) element.removeAttribute(name);
        else element.setAttribute(name, value);
      }
    }
  }
  // Where a table has no heading, there is a cell.
  document.querySelectorAll("th:empty").forEach((head) => head.replaceWith(document.createElement("td")));
  // A figure opens in its full size.
  for (const image of document.querySelectorAll("figure img, .cell_output img")) {
    if (image.closest("a")) continue;
    const link = document.createElement("a");
    link.href = image.src;
    link.className = "full-size";
    link.title = "Open in full size";
    image.replaceWith(link);
    link.append(image);
  }
  // Search shows the sentence in which a word stands, and not the code of a cell.
  if (typeof Search !== "undefined") {
    const wholeText = Search.htmlToText;
    Search.htmlToText = (html, anchor) => {
      const page = new DOMParser().parseFromString(html, "text/html");
      page.querySelectorAll(".cell_input, details.hide").forEach((code) => code.remove());
      return wholeText(page.documentElement.outerHTML, anchor);
    };
  }
});
