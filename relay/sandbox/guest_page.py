"""`/guest/{id}`: the widget as its guest sees it, for either contract: asks a few times a second what is visible."""

from aiohttp import web

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Guest</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 24rem; color: #222; background: #f4f4f2 }
  main { border: 1px solid #ccc; border-radius: 8px; background: #fff; padding: 1rem 1.25rem; min-height: 9rem }
  #indicator { color: #555; min-height: 1.5em }
  small { color: #777; overflow-wrap: anywhere }
</style>
<main>
  <p>Hello, how can we help you?</p>
  <p id="indicator" role="status" aria-live="polite"></p>
</main>
<p><small id="who"></small></p>
<script>
  const id = decodeURIComponent(location.pathname.split("/").pop());
  const words = { typing: "Agent is typing…", paused: "Agent has paused…" };
  const indicator = document.getElementById("indicator");
  document.getElementById("who").textContent = id;
  async function look() {
    let said = "";
    try {
      const answer = await fetch("/sandbox/visible/" + encodeURIComponent(id));
      said = words[(await answer.json()).visible] || "";
    } catch { said = "The platform does not answer."; }
    if (indicator.textContent !== said) indicator.textContent = said;
    setTimeout(look, 200);
  }
  look();
</script>
</html>
"""

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
    "cache-control": "no-store",
}


def add_routes(app: web.Application) -> None:
    app.router.add_get("/guest/{id}", _page)


async def _page(_request: web.Request) -> web.Response:
    """The same for everybody: whose it is, the page reads from its own address."""
    return web.Response(text=PAGE, content_type="text/html", headers=HEADERS)
