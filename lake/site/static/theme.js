// Light or dark as it was chosen here before, set before anything is drawn. Without a choice the system decides.
"use strict";
(function () {
  try {
    const chosen = localStorage.getItem("lake-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch { /* a browser that keeps nothing for files */ }
})();
const lakeHeld = {};
const lakeAwaited = {};
// Data come as scripts, since pages opened from disk may not fetch: each calls this with its name.
function lakeData(name, data) {
  lakeHeld[name] = data;
  for (const tell of lakeAwaited[name] ?? []) tell(data);
  delete lakeAwaited[name];
}
function whenLoaded(name, tell) {
  if (name in lakeHeld) tell(lakeHeld[name]);
  else (lakeAwaited[name] ??= []).push(tell);
}
