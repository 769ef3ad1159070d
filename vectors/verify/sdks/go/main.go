// What the providers' own Go packages say of our vectors: `go run . VECTORS`.
//
// Every request that we take has to be taken, and none whose body, signature or secret is another.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/PagerDuty/go-pagerduty/webhookv3"
	"github.com/buildkite/go-buildkite/v4"
	"github.com/bwmarrin/discordgo"
	"github.com/mailgun/mailgun-go/v4"
)

type vector struct {
	Name      string
	Secrets   []string
	Headers   [][2]string
	Body      string
	Signature string
	SignsBody *bool `json:"signs_body"`
	Expected  struct {
		Slot    *int
		Refusal string
	}
}

func (v vector) request() *http.Request {
	request, err := http.NewRequest(http.MethodPost, "https://hooks.example.com/webhook", strings.NewReader(v.Body))
	if err != nil {
		panic(err)
	}
	for _, header := range v.Headers {
		request.Header.Add(header[0], header[1])
	}
	return request
}

// The vector with another character in its signature.
func (v vector) withOtherSignature() vector {
	last := len(v.Signature) - 1
	other := "2"
	if v.Signature[last] == '2' {
		other = "3"
	}
	signature := v.Signature[:last] + other
	headers := make([][2]string, len(v.Headers))
	for index, header := range v.Headers {
		headers[index] = [2]string{header[0], strings.ReplaceAll(header[1], v.Signature, signature)}
	}
	v.Headers, v.Body = headers, strings.ReplaceAll(v.Body, v.Signature, signature)
	return v
}

var verifiers = []struct {
	name  string
	sdk   string
	takes func(vector, string) bool
}{
	{"buildkite", "go-buildkite", func(v vector, secret string) bool {
		_, err := buildkite.ValidatePayload(v.request(), []byte(secret))
		return err == nil
	}},
	{"discord", "discordgo", func(v vector, secret string) bool {
		key, err := hex.DecodeString(secret)
		return err == nil && discordgo.VerifyInteraction(v.request(), key)
	}},
	{"mailgun", "mailgun-go", func(v vector, secret string) bool {
		var body struct{ Signature mailgun.Signature }
		if err := json.Unmarshal([]byte(v.Body), &body); err != nil {
			return false
		}
		client := mailgun.NewMailgun("example.com", "none")
		client.SetWebhookSigningKey(secret)
		verified, err := client.VerifyWebhookSignature(body.Signature)
		return err == nil && verified
	}},
	{"pagerduty", "go-pagerduty", func(v vector, secret string) bool {
		return webhookv3.VerifySignature(v.request(), secret) == nil
	}},
}

func main() {
	failed := map[string]bool{}
	for _, verifier := range verifiers {
		count := 0
		expect := func(what string, expected, found bool) {
			count++
			if expected != found {
				failed[verifier.name] = true
				fmt.Fprintf(os.Stderr, "%s: %s: we say %t, the SDK %t\n", verifier.name, what, expected, found)
			}
		}
		for _, v := range vectors(filepath.Join(os.Args[1], verifier.name+".json")) {
			switch {
			case v.Expected.Slot != nil:
				secret := v.Secrets[*v.Expected.Slot]
				expect(v.Name, true, verifier.takes(v, secret))
				expect(v.Name+", another signature", false, verifier.takes(v.withOtherSignature(), secret))
				if v.SignsBody == nil || *v.SignsBody {
					v.Body += " "
					expect(v.Name+", another body", false, verifier.takes(v, secret))
				}
			case v.Expected.Refusal == "signature_mismatch":
				expect(v.Name, false, verifier.takes(v, v.Secrets[0]))
			}
		}
		state := "agrees"
		if failed[verifier.name] {
			state = "DISAGREES"
		}
		fmt.Printf("%-18s %-36s %3d requests  %s\n", verifier.name, verifier.sdk, count, state)
	}
	fmt.Printf("%d passed, %d failed\n", len(verifiers)-len(failed), len(failed))
	if len(failed) > 0 {
		os.Exit(1)
	}
}

func vectors(path string) []vector {
	text, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(text, &file); err != nil {
		panic(err)
	}
	return file.Vectors
}
