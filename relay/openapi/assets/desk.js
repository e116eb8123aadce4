// An agent's desktop. Its back end posts to /v1/tickets with the API key, for the agent who is signed in; the
// page gets the ticket and says what the agent does. Neither a key nor any text reaches the page or the relay.
export async function typingStream(relay, ticketUrl, { sessionId, guestId, actor }) {
  let socket, timer, waitMs = 250, isOver = false;

  async function open() {
    const answer = await fetch(ticketUrl, { method: "POST" }); // your back end, your session cookie
    if (!answer.ok) throw new Error(`no ticket: ${answer.status}`);
    const { ticket } = await answer.json();
    if (isOver) return; // closed while we waited for it
    // A page cannot set headers here, so the ticket goes along as a second subprotocol; the relay chooses the first.
    socket = new WebSocket(`${relay.replace(/^http/, "ws")}/v1/stream`, ["typing-relay.v1", ticket]);
    socket.onopen = () => { waitMs = 250; };
    socket.onmessage = ({ data }) => {
      const told = JSON.parse(data); // {"ack": n}, or {"error": {...}} for a frame that was refused
      if (told.error) console.warn("typing relay:", told.error.title);
    };
    socket.onclose = again;
  }
  function again() {
    if (isOver) return;
    timer = setTimeout(() => open().catch(again), waitMs * (0.5 + Math.random()));
    waitMs = Math.min(waitMs * 2, 30000);
  }
  function say(type) {
    // What cannot be said now is not said later: an old keystroke is worth nothing.
    const isFree = socket?.readyState === 1 && socket.bufferedAmount < 65536;
    if (isFree) socket.send(JSON.stringify({ sessionId, guestId, actor, type }));
  }
  function close() {
    isOver = true;
    clearTimeout(timer);
    socket?.close();
  }
  await open();
  return { say, close };
}
// const typing = await typingStream("https://relay.example", "/my/ticket", { sessionId, guestId, actor });
// input.addEventListener("input", () => typing.say(input.value ? "keystroke" : "cleared"));
// form.addEventListener("submit", () => typing.say("message_sent"));
// addEventListener("pagehide", () => typing.close()); // the last stream to close says that the agent has left
