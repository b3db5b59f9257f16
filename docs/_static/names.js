"use strict";
/* names for what the theme and the gallery leave without, and keys for what scrolls */
document.addEventListener("DOMContentLoaded", () => {
  for (const opener of document.querySelectorAll("nav summary")) {
    const entry = opener.closest("li")?.querySelector("a")?.textContent.trim();
    opener.setAttribute("aria-label", `Pages under ${entry ?? "this one"}`);
  }
  for (const link of document.querySelectorAll(".sphx-glr-thumbcontainer a.internal")) {
    link.setAttribute("aria-label", link.textContent.trim());
  }
  for (const formula of document.querySelectorAll("div.formula")) formula.tabIndex = 0;
});
