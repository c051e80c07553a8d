// Publishes the records of standard input, one JSON object a line, with franz-go: main SERVERS TOPIC COMPRESSION [BATCH].
//
// With BATCH, records go in transactions of so many, and one whose first record says "aborted" is aborted.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"log"
	"os"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

type line struct {
	Key     *string           `json:"key"`
	Value   string            `json:"value"`
	Headers map[string]string `json:"headers"`
	Aborted bool              `json:"aborted"`
}

func main() {
	batch := 0
	if len(os.Args) > 4 {
		batch, _ = strconv.Atoi(os.Args[4])
	}
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(os.Args[1]), kgo.DefaultProduceTopic(os.Args[2]), kgo.ProducerBatchCompression(codecs[os.Args[3]]),
	}
	if batch > 0 {
		options = append(options, kgo.TransactionalID("franz-go"))
	}
	client, err := kgo.NewClient(options...)
	must(err)
	defer client.Close()
	lines := read()
	if batch == 0 {
		must(client.ProduceSync(context.Background(), records(lines)...).FirstErr())
		return
	}
	for start := 0; start < len(lines); start += batch {
		part := lines[start:min(start+batch, len(lines))]
		must(client.BeginTransaction())
		must(client.ProduceSync(context.Background(), records(part)...).FirstErr())
		must(client.EndTransaction(context.Background(), kgo.TransactionEndTry(!part[0].Aborted)))
	}
}

func read() []line {
	var found []line
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		var one line
		must(json.Unmarshal(input.Bytes(), &one))
		found = append(found, one)
	}
	must(input.Err())
	return found
}

func records(lines []line) []*kgo.Record {
	var found []*kgo.Record
	for _, one := range lines {
		record := &kgo.Record{Value: []byte(one.Value)}
		if one.Key != nil {
			record.Key = []byte(*one.Key)
		}
		for name, value := range one.Headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
		found = append(found, record)
	}
	return found
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
