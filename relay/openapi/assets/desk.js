// An agent's desktop. Its back end posts to /v1/tickets with the API key, for the agent who is signed in; the
// page gets the ticket and says what the agent does. Neither a key nor any text reaches the page or the relay.
export async function typingStream(relay, ticketUrl, { sessionId, guestId, actor }) {
  let socket;
  let waitMs = 250;
  let isOver = false;

  async function open() {
    const answer = await fetch(ticketUrl, { method: "POST" }); // your back end, your session cookie
    const { ticket } = await answer.json();
    socket = new WebSocket(`${relay.replace(/^http/, "ws")}/v1/stream`, ["typing-relay.v1", ticket]);
    socket.onopen = () => { waitMs = 250; };
    socket.onmessage = ({ data }) => {
      const told = JSON.parse(data); // {"ack": n}, or {"error": {...}} for a frame that was refused
      if (told.error) console.warn("typing relay:", told.error.title);
    };
    socket.onclose = () => { if (!isOver) again(); };
  }
  function again() {
    setTimeout(() => open().catch(again), waitMs * (0.5 + Math.random()));
    waitMs = Math.min(waitMs * 2, 30000);
  }
  function say(type) {
    // What cannot be said now is not said later: an old keystroke is worth nothing.
    if (socket?.readyState === 1) socket.send(JSON.stringify({ sessionId, guestId, actor, type }));
  }
  await open();
  return { say, close: () => { isOver = true; socket.close(); } };
}
// const typing = await typingStream("https://relay.example", "/my/ticket", { sessionId, guestId, actor });
// input.addEventListener("input", () => typing.say(input.value ? "keystroke" : "cleared"));
// form.addEventListener("submit", () => typing.say("message_sent"));
