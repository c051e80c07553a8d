// Publishes the records of standard input, one JSON object a line, with kafkajs: SERVERS TOPIC COMPRESSION.
const { readFileSync } = require("node:fs");
const { CompressionTypes, Kafka, logLevel } = require("kafkajs");

const [servers, topic, compression] = process.argv.slice(2);
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP };

async function main() {
  const kafka = new Kafka({ brokers: servers.split(","), clientId: "kafkajs", logLevel: logLevel.ERROR });
  const producer = kafka.producer();
  await producer.connect();
  const lines = readFileSync(0, "utf8").split("\n").filter(Boolean);
  const messages = lines.map((one) => JSON.parse(one)).map(({ key, value, headers }) => ({ key, value, headers }));
  await producer.send({ topic, messages, compression: codecs[compression], acks: -1 });
  await producer.disconnect();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
