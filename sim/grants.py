"""The doors of a simulated tenant: how a client gets a token.

    POST /oauth/token                              client_credentials, id and secret in the form
    GET  /.well-known/openid-configuration         names the next
    POST /auth/token                               password: an access key and the client, which
                                                   is told by Basic authorization or in the form
    POST /authentication/v1/token/access-key       JSON: accessKeyId, accessKeySecret

Each answers a bearer token.  What a tenant has none of its own of (client, access key), it takes
from anyone who names some.
"""

import base64
import binascii
import hmac
import secrets
import time

from faults import error_reply, json_reply

TOKEN_PATH = "/oauth/token"
DISCOVERY_PATH = "/.well-known/openid-configuration"
PASSWORD_PATH = "/auth/token"
ACCESS_KEY_PATH = "/authentication/v1/token/access-key"
KINDS = {TOKEN_PATH: "token", PASSWORD_PATH: "token", ACCESS_KEY_PATH: "token",
         DISCOVERY_PATH: "discovery"}

SAME = object()  # told_expires_in: what is true


def same(given, wanted):
    return all(hmac.compare_digest(a.encode(), b.encode()) for a, b in zip(given, wanted))


class Doors:
    """What a tenant is mixed with.  Attributes to read and to change at any time:

    client_id, client_secret    of its one client; None: any
    access_key                  (id, secret) of its one access key; None: any
    api_key                     (field of the header in lower case, key), taken in place of a token
    client_auth                 "basic" or "post": the only way that the client is told; None: any
    scopes                      what its client may be granted
    expires_in                  seconds a token lives
    told_expires_in             what the token answer says of that, where it is to be something else
    issued                      every token it gave, to look for where none should be seen
    """

    def open_doors(self, client_id, client_secret, scopes, expires_in, told_expires_in):
        self.client_id, self.client_secret = client_id, client_secret
        self.access_key = self.api_key = self.client_auth = None
        self.scopes = scopes
        self.expires_in, self.told_expires_in = expires_in, told_expires_in
        self.issued = []
        self._tokens = {}  # token -> (monotonic end of life, granted scopes)

    def revoke(self):
        """No token given so far is good any more."""
        self._tokens.clear()

    def granted(self, request):
        """The scopes of the token, or key, of a request; None: it is not good."""
        if self.api_key and request.headers.get(self.api_key[0]) == self.api_key[1]:
            return self.scopes.split()
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        end, scopes = self._tokens.get(token, (0.0, ()))
        return scopes if kind.lower() == "bearer" and time.monotonic() < end else None

    @staticmethod
    def not_good():
        return error_reply(401, "invalid_token", "The access token is missing or expired",
                           {"WWW-Authenticate": 'Bearer error="invalid_token"'})

    def let_in(self, request):
        if request.kind == "discovery":
            url = self.url
            return json_reply(200, {"issuer": url, "token_endpoint": url + PASSWORD_PATH,
                                    "token_endpoint_auth_methods_supported": [
                                        "client_secret_basic", "client_secret_post"]})
        if request.method != "POST":
            return error_reply(405, "method_not_allowed", "POST only")
        return {TOKEN_PATH: self._client_credentials, PASSWORD_PATH: self._password,
                ACCESS_KEY_PATH: self._access_key}[request.path](request)

    def _client_credentials(self, request):
        form = request.form
        if form.get("grant_type") != "client_credentials":
            return error_reply(400, "unsupported_grant_type", "client_credentials only")
        given = (form.get("client_id", ""), form.get("client_secret", ""))
        if not self._known(self._client(), *given):
            return error_reply(401, "invalid_client", "Client authentication failed")
        return self._issue(form.get("scope", self.scopes))

    def _password(self, request):
        form = request.form
        if form.get("grant_type") != "password":
            return error_reply(400, "unsupported_grant_type", "password only")
        way, client = "post", (form.get("client_id", ""), form.get("client_secret", ""))
        kind, _, code = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                user, _, word = base64.b64decode(code, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return error_reply(400, "invalid_request", "No Basic authorization")
            way, client = "basic", (user, word)
        if self.client_auth not in (None, way) or not self._known(self._client(), *client):
            return error_reply(401, "invalid_client", "Client authentication failed")
        if not self._known(self.access_key, form.get("username", ""), form.get("password", "")):
            return error_reply(400, "invalid_grant", "Authentication failed")
        return self._issue(self.scopes)

    def _access_key(self, request):
        if request.headers.get("content-type") != "application/json":
            return error_reply(415, "unsupported_media_type", "JSON only")
        pair = (request.form.get("accessKeyId", ""), request.form.get("accessKeySecret", ""))
        if not self._known(self.access_key, *pair):
            return error_reply(401, "unauthorized", "Authentication failed")
        return self._issue(self.scopes)

    def _client(self):
        return None if self.client_id is None else (self.client_id, self.client_secret or "")

    @staticmethod
    def _known(wanted, *given):
        return all(given) if wanted is None else same(given, wanted)

    def _issue(self, asked):
        granted = [scope for scope in asked.split() if scope in self.scopes.split()]
        token = secrets.token_urlsafe(24)
        self.issued.append(token)
        self._tokens[token] = (time.monotonic() + self.expires_in, granted)
        value = {"access_token": token, "token_type": "Bearer", "scope": " ".join(granted)}
        told = self.expires_in if self.told_expires_in is SAME else self.told_expires_in
        if told is not None:
            value["expires_in"] = told
        return json_reply(200, value, {"Cache-Control": "no-store"})
