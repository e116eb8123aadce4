// A public Web Messaging client as a program: what it hears is a line of JSON out, a line in is a text it sends.
// It always dials wss://webmessaging.{region}; the factory it lets its user give turns that into the stand-in's address.
const { WebMessengerGuestSession, ReorderedMessageDelayer } = require("@ovotech/genesys-web-messaging-tester");
const { WebSocket } = require("ws");

const at = process.argv[2];
const session = new WebMessengerGuestSession(
  { deploymentId: "11111111-1111-4111-8111-111111111111", region: "sandbox.invalid" },
  {},
  new ReorderedMessageDelayer(20, 20),
  (url, options) => new WebSocket(url.replace("wss://webmessaging.sandbox.invalid", at), options),
);
const say = (heard) => console.log(JSON.stringify(heard));

session.on("sessionStarted", (answer) => say({ token: session.sessionToken, started: answer.body }));
session.on("structuredMessage", (message) => say(message.body));
require("readline").createInterface({ input: process.stdin }).on("line", (text) => session.sendText(text));
