// A public Web Messaging client as a program: what it hears is a line of JSON out, a line in is what it is to do:
// {"text": …}, sent by the client itself, or {"echo": …}, for which it has no word, sent over the client's own socket.
// It always dials wss://webmessaging.{region}; the factory it lets its user give turns that into the stand-in's address.
const { WebMessengerGuestSession, ReorderedMessageDelayer } = require("@ovotech/genesys-web-messaging-tester");
const { WebSocket } = require("ws");

const at = process.argv[2];
const say = (heard) => process.stdout.write(JSON.stringify(heard) + "\n");
console.log = (...said) => say({ unhandled: said }); // as the client does with frames that are no message
const receivedAt = {}; // by message, before the client puts messages that overtook each other in order
let socket;
const session = new WebMessengerGuestSession(
  { deploymentId: "11111111-1111-4111-8111-111111111111", region: "sandbox.invalid" },
  {},
  new ReorderedMessageDelayer(20, 20),
  (url, options) => {
    socket = new WebSocket(url.replace("wss://webmessaging.sandbox.invalid", at), options);
    socket.on("message", (data) => (receivedAt[JSON.parse(data).body?.id] = Date.now()));
    return socket;
  },
);

session.on("sessionStarted", (answer) => say({ token: session.sessionToken, started: answer.body }));
session.on("structuredMessage", ({ body }) => say({ ...body, receivedAt: receivedAt[body.id] }));
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const { text, echo } = JSON.parse(line);
  if (text) return session.sendText(text);
  const message = { type: "Text", text: echo };
  socket.send(JSON.stringify({ action: "echo", token: session.sessionToken, tracingId: echo, message }));
});
