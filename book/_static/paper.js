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
