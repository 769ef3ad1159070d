// What each provider's own code says of a request: true where it takes it. A request is `{url, headers, body}`, with the names of
// headers in lower case; whatever an SDK throws is a no.

import { createRequire } from 'node:module';
import '@shopify/shopify-api/adapters/node';

const require = createRequire(import.meta.url);

/** An SDK that says no by throwing. */
const unlessThrown = (check) => async (request, secret) => {
  try {
    await check(request, secret);
    return true;
  } catch {
    return false;
  }
};

const plain = (names) => (request) => Object.fromEntries(names.map((name) => [name, request.headers[name]]));
const standardHeaders = plain(['webhook-id', 'webhook-timestamp', 'webhook-signature']);

function shopify() {
  return async (request, secret) => {
    // Not by `require`, which would be another copy of it, without the adapter.
    const { shopifyApi, LogSeverity } = await import('@shopify/shopify-api');
    const api = shopifyApi({
      apiKey: 'key', apiSecretKey: secret, scopes: [], hostName: 'hooks.example.com', apiVersion: '2026-01', isEmbeddedApp: false,
      logger: { log: () => {}, level: LogSeverity.Error },
    });
    // It wants headers to be there that nothing signs.
    const unsigned = {
      'x-shopify-topic': 'orders/create', 'x-shopify-shop-domain': 'a.myshopify.com', 'x-shopify-api-version': '2026-01', 'x-shopify-webhook-id': 'w-1',
    };
    const headers = { ...unsigned, ...request.headers };
    const rawRequest = { method: 'POST', url: '/', headers, rawHeaders: Object.entries(headers).flat() };
    return (await api.webhooks.validate({ rawBody: request.body, rawRequest, rawResponse: {} })).valid;
  };
}

function twitch() {
  // Nobody but its own middleware calls this, and the middleware wants a server.
  const { EventSubHttpListener } = require('@twurple/eventsub-http');
  const { _verifyData: verify } = EventSubHttpListener.prototype;
  const named = (request, name) => request.headers[`twitch-eventsub-message-${name}`];
  return async (request, secret) =>
    verify.call({ _secret: secret }, named(request, 'id'), named(request, 'timestamp'), request.body, named(request, 'signature'));
}

function twilio() {
  const { validateRequest, validateRequestWithBody } = require('twilio');
  return async (request, secret) => {
    const signature = request.headers['x-twilio-signature'];
    if (request.url.includes('bodySHA256')) return validateRequestWithBody(secret, signature, request.url, request.body);
    return validateRequest(secret, signature, request.url, Object.fromEntries(new URLSearchParams(request.body)));
  };
}

function zoom() {
  const { AwsLambdaReceiver } = require('@zoom/rivet/users');
  return async (request, secret) => {
    const receiver = new AwsLambdaReceiver({ webhooksSecretToken: secret });
    const { debug } = console;
    console.debug = () => {};
    try {
      return (await receiver.start()({ body: request.body, headers: request.headers, isBase64Encoded: false }, {})).statusCode === 200;
    } finally {
      console.debug = debug;
    }
  };
}

/** The package that says it, an event that `hook send` can make, and what it says. */
export const verifiers = {
  adyen: {
    sdk: '@adyen/api-library', event: 'AUTHORISATION',
    takes: unlessThrown(async (request, secret) => {
      const { hmacValidator: Validator } = require('@adyen/api-library');
      const item = JSON.parse(request.body).notificationItems[0].NotificationRequestItem;
      if (!new Validator().validateHMAC(item, secret)) throw new Error('no');
    }),
  },
  clerk: {
    sdk: '@clerk/backend', event: 'user.created',
    takes: unlessThrown(async ({ url, headers, body }, signingSecret) => {
      const { verifyWebhook } = await import('@clerk/backend/webhooks');
      await verifyWebhook(new Request(url, { method: 'POST', headers, body }), { signingSecret });
    }),
  },
  discord: {
    sdk: 'discord-interactions', event: 'APPLICATION_AUTHORIZED',
    takes: ({ headers, body }, key) => require('discord-interactions').verifyKey(body, headers['x-signature-ed25519'], headers['x-signature-timestamp'], key),
  },
  github: {
    sdk: '@octokit/webhooks-methods', event: 'issues.opened',
    takes: async ({ headers, body }, secret) => (await import('@octokit/webhooks-methods')).verify(secret, body, headers['x-hub-signature-256']),
  },
  hubspot: {
    sdk: '@hubspot/api-client', event: 'contact.creation',
    takes: unlessThrown(async ({ url, headers, body }, clientSecret) => {
      const { Signature } = require('@hubspot/api-client');
      const options = { signatureVersion: 'v3', url, requestBody: body, clientSecret, signature: headers['x-hubspot-signature-v3'] };
      if (!Signature.isValid({ ...options, timestamp: Number(headers['x-hubspot-request-timestamp']) })) throw new Error('no');
    }),
  },
  linear: {
    sdk: '@linear/sdk', event: 'Issue.create',
    takes: unlessThrown(async ({ headers, body }, secret) => {
      const { LinearWebhookClient } = await import('@linear/sdk/webhooks');
      new LinearWebhookClient(secret).verify(Buffer.from(body), headers['linear-signature']);
    }),
  },
  openai: {
    sdk: 'openai', event: 'response.completed',
    takes: unlessThrown(async ({ headers, body }, secret) => {
      const { OpenAI } = require('openai');
      await new OpenAI({ apiKey: 'none' }).webhooks.verifySignature(body, headers, secret);
    }),
  },
  paddle: {
    sdk: '@paddle/paddle-node-sdk', event: 'transaction.completed',
    takes: unlessThrown(async ({ headers, body }, secret) => {
      const { Paddle } = require('@paddle/paddle-node-sdk');
      if (!(await new Paddle('none').webhooks.isSignatureValid(body, secret, headers['paddle-signature']))) throw new Error('no');
    }),
  },
  polar: {
    sdk: '@polar-sh/sdk', event: 'order.paid',
    takes: async (request, secret) => {
      const { validateEvent, WebhookVerificationError } = require('@polar-sh/sdk/webhooks');
      try {
        validateEvent(request.body, standardHeaders(request), secret);
        return true;
      } catch (error) {
        // What comes after the signature, such as the shape of an order, is not asked.
        return !(error instanceof WebhookVerificationError);
      }
    },
  },
  resend: {
    sdk: 'resend', event: 'email.delivered',
    takes: unlessThrown(async ({ headers, body }, webhookSecret) => {
      const { Resend } = require('resend');
      const named = { id: headers['svix-id'], timestamp: headers['svix-timestamp'], signature: headers['svix-signature'] };
      new Resend('re_none').webhooks.verify({ payload: body, headers: named, webhookSecret });
    }),
  },
  sendgrid: {
    sdk: '@sendgrid/eventwebhook', event: 'delivered',
    takes: unlessThrown(async ({ headers, body }, secret) => {
      const { EventWebhook } = require('@sendgrid/eventwebhook');
      const webhook = new EventWebhook();
      const name = 'x-twilio-email-event-webhook-';
      const key = webhook.convertPublicKeyToECDSA(secret);
      if (!webhook.verifySignature(key, body, headers[`${name}signature`], headers[`${name}timestamp`])) throw new Error('no');
    }),
  },
  shopify: { sdk: '@shopify/shopify-api', event: 'orders/create', takes: shopify() },
  slack: {
    sdk: '@slack/bolt', event: 'app_mention',
    takes: async ({ headers, body }, signingSecret) => {
      const { isValidSlackRequest } = require('@slack/bolt/dist/receivers/verify-request.js');
      const named = { 'x-slack-signature': headers['x-slack-signature'], 'x-slack-request-timestamp': Number(headers['x-slack-request-timestamp']) };
      return isValidSlackRequest({ signingSecret, body, headers: named });
    },
  },
  square: {
    sdk: 'square', event: 'payment.updated',
    takes: ({ url, headers, body }, signatureKey) =>
      require('square').WebhooksHelper.verifySignature({
        requestBody: body, signatureHeader: headers['x-square-hmacsha256-signature'], signatureKey, notificationUrl: url,
      }),
  },
  'standard-webhooks': {
    sdk: 'standardwebhooks', event: 'invoice.paid',
    takes: unlessThrown(async (request, secret) => {
      const { Webhook } = require('standardwebhooks');
      new Webhook(secret).verify(request.body, standardHeaders(request));
    }),
  },
  stripe: {
    sdk: 'stripe', event: 'invoice.paid',
    takes: unlessThrown(async ({ headers, body }, secret) => {
      const { Stripe } = await import('stripe');
      new Stripe('sk_test_none').webhooks.constructEvent(body, headers['stripe-signature'], secret);
    }),
  },
  svix: {
    sdk: 'svix', event: 'invoice.paid',
    takes: unlessThrown(async (request, secret) => {
      const { Webhook } = require('svix');
      new Webhook(secret).verify(request.body, request.headers);
    }),
  },
  twilio: { sdk: 'twilio', event: 'message.received', takes: twilio() },
  twitch: { sdk: '@twurple/eventsub-http', event: 'channel.follow', takes: twitch() },
  zoom: { sdk: '@zoom/rivet', event: 'meeting.started', takes: zoom() },
};
