// The language and the theme of the page: what the address says (?lang=, ?tab=), else what was chosen before, else what
// the browser prefers.
const zoo = (() => {
  const query = new URLSearchParams(location.search);
  const stored = (name) => { try { return localStorage.getItem("gan-zoo-" + name); } catch { return null; } };
  const store = (name, value) => { try { localStorage.setItem("gan-zoo-" + name, value); } catch { /* private mode */ } };
  const known = (language) => (/^(en|es)\b/.exec(language ?? "") ?? [null])[0];

  const remember = (name, value) => {
    const address = new URL(location.href);
    address.searchParams.set(name, value);
    history.replaceState(history.state, "", address);
  };
  // Makes `language`, or the present one where it is null, the page's; gives its code.
  const speak = (language) => {
    if (language) { store("lang", language); remember("lang", language); }
    language = language ?? document.documentElement.dataset.language;
    document.documentElement.dataset.language = language;
    document.documentElement.lang = language;
    return language;
  };
  const flip = () => store("theme", document.body.classList.toggle("dark") ? "dark" : "light");
  // Opens Gradio's API page. Its own link is hidden by page.css: it does not follow the language switch.
  const api = () => { document.querySelector("footer .show-api")?.click(); return false; };
  // The task whose panel is open in a plugin's tab.
  const opened = (slug) => {
    const panels = [...document.querySelectorAll(`[data-zoo-panel^="${slug}/"]`)];
    return (panels.find((panel) => panel.offsetParent !== null)?.dataset.zooPanel ?? "/").split("/")[1];
  };
  const tab = () => (query.has("tab") ? { selected: query.get("tab") } : {});

  const preferred = known(query.get("lang")) ?? known(stored("lang")) ?? navigator.languages.map(known).find(Boolean) ?? "en";
  document.documentElement.dataset.language = preferred;
  document.documentElement.lang = preferred;
  const theme = stored("theme");
  if (theme && !query.has("__theme")) {
    const apply = () => document.body.classList.toggle("dark", theme === "dark");
    addEventListener("load", apply);
    setTimeout(apply, 0);
  }
  return { remember, speak, flip, tab, api, opened };
})();
window.zoo = zoo;
