"""The published script that tamis is measured against, in its own structure.

"Curating NICE CXone Conversational Training Data with Python", its complete working example:
the token, the pages, the rating filter, the pairs, the matrix of all cosines and the double
loop over it, the CSV and the state file are as published.  Three things that are constants
there are options here, so that it can run against a simulated tenant and without a network:
the base URL, the model (a directory), the pause between pages (0.5 s unless told).
"""

import argparse
import csv
import json
import os
import time
from typing import Any, Dict, List, Optional

import numpy as np
import requests
from sentence_transformers import SentenceTransformer


class CXoneAuthClient:
    def __init__(self, base_url: str, client_id: str, client_secret: str):
        self.client_id = client_id
        self.client_secret = client_secret
        self.token_url = f"{base_url}/oauth/token"
        self._token: Optional[str] = None
        self._token_expiry: float = 0.0

    def get_access_token(self) -> str:
        if self._token and time.time() < self._token_expiry - 60:
            return self._token
        payload = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scope": "interactions:read analytics:read",
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        response = requests.post(self.token_url, data=payload, headers=headers)
        response.raise_for_status()
        token_data = response.json()
        self._token = token_data["access_token"]
        self._token_expiry = time.time() + token_data["expires_in"]
        return self._token

    def build_headers(self) -> dict:
        return {
            "Authorization": f"Bearer {self.get_access_token()}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }


class CXoneInteractionFetcher:
    def __init__(self, auth_client: CXoneAuthClient, base_url: str, page_delay: float):
        self.auth = auth_client
        self.base_url = f"{base_url}/api/v2/interactions"
        self.page_delay = page_delay
        self.session = requests.Session()
        self.session.headers.update(self.auth.build_headers())

    def _request_with_retry(self, url: str, params: dict,
                            max_retries: int = 5) -> requests.Response:
        for attempt in range(max_retries):
            response = self.session.get(url, params=params)
            if response.status_code == 429:
                retry_after = float(response.headers.get("Retry-After", 2 ** attempt))
                time.sleep(retry_after)
                continue
            elif response.status_code == 401:
                self.session.headers.update(self.auth.build_headers())
                continue
            elif response.status_code >= 500:
                time.sleep(2 ** attempt)
                continue
            return response
        raise Exception("Max retries exceeded for API request")

    def fetch_interactions(self, last_sync_timestamp: Optional[str] = None,
                           page_size: int = 200) -> List[Dict[str, Any]]:
        all_interactions = []
        page = 1
        params = {"pageSize": page_size, "page": page, "sort": "timestamp desc",
                  "returnCount": "true"}
        if last_sync_timestamp:
            params["filter"] = f"timestamp gt '{last_sync_timestamp}'"
        while True:
            response = self._request_with_retry(self.base_url, params)
            response.raise_for_status()
            data = response.json()
            interactions = data.get("interactions", [])
            all_interactions.extend(interactions)
            total_count = int(data.get("totalCount", 0))
            if len(all_interactions) >= total_count or len(interactions) == 0:
                break
            page += 1
            params["page"] = page
            time.sleep(self.page_delay)
        return all_interactions


def extract_turns(interactions: List[Dict[str, Any]],
                  min_rating: int = 4) -> List[Dict[str, Any]]:
    structured_turns = []
    for interaction in interactions:
        rating = interaction.get("rating")
        if rating is None or rating < min_rating:
            continue
        messages = interaction.get("messages", [])
        user_utterance = None
        for msg in messages:
            sender = msg.get("from", "")
            text = msg.get("text", "").strip()
            if not text or sender not in ("user", "bot"):
                continue
            if sender == "user":
                user_utterance = text
            elif sender == "bot" and user_utterance:
                structured_turns.append({
                    "interaction_id": interaction.get("id"),
                    "timestamp": interaction.get("timestamp"),
                    "bot_id": interaction.get("botId"),
                    "rating": rating,
                    "user_utterance": user_utterance,
                    "bot_response": text,
                })
                user_utterance = None
    return structured_turns


def deduplicate_turns(turns: List[Dict[str, Any]], model_name: str,
                      similarity_threshold: float = 0.85) -> List[Dict[str, Any]]:
    if not turns:
        return []
    user_texts = [t["user_utterance"] for t in turns]
    model = SentenceTransformer(model_name)
    embeddings = model.encode(user_texts, convert_to_numpy=True, show_progress_bar=False)
    normalized_embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarity_matrix = np.dot(normalized_embeddings, normalized_embeddings.T)
    keep_mask = np.ones(len(turns), dtype=bool)
    for i in range(len(turns)):
        if not keep_mask[i]:
            continue
        for j in range(i + 1, len(turns)):
            if similarity_matrix[i, j] >= similarity_threshold:
                keep_mask[j] = False
                turns[j]["similarity_score"] = round(float(similarity_matrix[i, j]), 4)
                turns[j]["dedup_group"] = i
    filtered_turns = [t for t, keep in zip(turns, keep_mask) if keep]
    for idx, t in enumerate(filtered_turns):
        t["dedup_group"] = idx
        t["similarity_score"] = 1.0
    return filtered_turns


def export_and_sync_state(turns: List[Dict[str, Any]], output_csv: str,
                          state_file: str) -> Optional[str]:
    if not turns:
        return None
    fieldnames = ["interaction_id", "timestamp", "bot_id", "rating", "user_utterance",
                  "bot_response", "similarity_score", "dedup_group"]
    with open(output_csv, "w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, fieldnames=fieldnames)
        writer.writeheader()
        writer.writerows(turns)
    latest_timestamp = max(t["timestamp"] for t in turns)
    state_data = {"last_sync_timestamp": latest_timestamp, "records_exported": len(turns),
                  "export_path": output_csv}
    with open(state_file, "w", encoding="utf-8") as f:
        json.dump(state_data, f, indent=2)
    return latest_timestamp


def load_state(state_file: str) -> Optional[str]:
    try:
        with open(state_file, "r", encoding="utf-8") as f:
            data = json.load(f)
            return data.get("last_sync_timestamp")
    except FileNotFoundError:
        return None


def command_line() -> argparse.Namespace:
    p = argparse.ArgumentParser(
        description="The published script; the secret is read from CLIENT_SECRET.")
    p.add_argument("base_url")
    p.add_argument("--client-id", default="bench")
    p.add_argument("--model", default="all-MiniLM-L6-v2", help="a name or a directory")
    p.add_argument("--page-delay", type=float, default=0.5, metavar="SECONDS")
    p.add_argument("--state", default="sync_state.json")
    p.add_argument("--output", default="cxone_training_data.csv")
    return p.parse_args()


if __name__ == "__main__":
    args = command_line()
    auth = CXoneAuthClient(args.base_url, args.client_id, os.environ["CLIENT_SECRET"])
    fetcher = CXoneInteractionFetcher(auth, args.base_url, args.page_delay)
    last_ts = load_state(args.state)
    print(f"Fetching interactions since: {last_ts or 'beginning of time'}")
    interactions = fetcher.fetch_interactions(last_sync_timestamp=last_ts)
    turns = extract_turns(interactions, min_rating=4)
    clean_turns = deduplicate_turns(turns, args.model, similarity_threshold=0.85)
    new_ts = export_and_sync_state(clean_turns, args.output, args.state)
    print(f"Exported {len(clean_turns)} records. Next sync target: {new_ts}")
