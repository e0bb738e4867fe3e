"""The articles of the news log: topics, authors, stories, and attention that rises and decays within hours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.marketplace.config import LOG_START
from components.marketplace.logs.news.config import NewsConfig
from components.marketplace.logs.words import HEADLINES, NAMES, PLACES, TOPICS
from components.marketplace.world.catalogue import Floats, Ints, unit
from components.marketplace.world.chance import FloatColumn, generator
from feature_repo.dataset.split import DAY

HOUR = 3_600.0
NUM_DIMENSIONS = 16
LEAD_DAYS = 3.0  # articles that were published before the log
NIGHT = 0.15  # newsroom output at night, relative to noon
PER_AUTHOR, PER_STORY = 90, 6  # articles
STORY_HOURS = 20.0  # mean time from the first article of a story to each later article
RISE_HOURS = 0.5
HALF_LIFE_SPREAD, HALF_LIFE_HOURS = 0.6, (1.0, 48.0)  # of the logarithm; shortest and longest


@dataclass(frozen=True, slots=True)
class Articles:
    """m articles as columns, oldest first.

    Attributes:
        titles, descriptions: Text [m].
        topic: Codes [m] into TOPICS.
        author, story: Codes [m].
        published_at: Unix seconds [m], ascending.
        vectors: Unit vectors [m, NUM_DIMENSIONS] from topic, author and story.
        appeal: Attention at its height in logits [m].
        half_life: Hours in which attention halves [m].
        topic_vectors, author_vectors: Unit vectors [topics, NUM_DIMENSIONS] and [authors, NUM_DIMENSIONS].
        author_topic: Topic of each author [authors].
    """

    titles: tuple[str, ...]
    descriptions: tuple[str, ...]
    topic: Ints
    author: Ints
    story: Ints
    published_at: FloatColumn
    vectors: Floats
    appeal: Floats
    half_life: Floats
    topic_vectors: Floats
    author_vectors: Floats
    author_topic: Ints

    def __len__(self) -> int:
        return len(self.titles)

    def attention(self, rows: slice, time: float) -> Floats:
        """Attention to published articles `rows` [k] at a time, in logits."""
        age = np.maximum((time - self.published_at[rows]) / HOUR, 0.02)
        risen = np.log(1.0 - np.exp(-age / RISE_HOURS))
        now: Floats = (self.appeal[rows] + risen - np.log(2.0) * age / self.half_life[rows]).astype(np.float32)
        return now


def make_articles(config: NewsConfig) -> Articles:
    """The articles of a configuration."""
    random = generator(config.seed, "catalogue")
    num, kinds = config.num_items, len(TOPICS)
    topic_vectors = unit(random.standard_normal((kinds, NUM_DIMENSIONS)))
    share = 1.0 / (np.arange(kinds) + 4.0)
    num_authors, num_stories = max(kinds, num // PER_AUTHOR), num // PER_STORY
    author_topic = np.concatenate([np.arange(kinds), random.choice(kinds, num_authors - kinds, p=share / share.sum())])
    author_vectors = unit(topic_vectors[author_topic] + 0.25 * random.standard_normal((num_authors, NUM_DIMENSIONS)))
    story_author = random.integers(0, num_authors, size=num_stories)
    story_topic = author_topic[story_author]
    story_vectors = 0.25 * random.standard_normal((num_stories, NUM_DIMENSIONS))
    story_begin = _newsroom_times(random, config, num_stories)
    # The number of articles of a story has a long tail; the first article of most stories is their only one.
    story = np.concatenate([np.arange(num_stories), _long_stories(random, num_stories, num - num_stories)])
    later = np.arange(num) >= num_stories
    published = story_begin[story] + later * random.exponential(STORY_HOURS * HOUR, size=num)
    # An article that would be published after the log is one of another story's first hours instead.
    published = np.where(published < config.log_end, published, _newsroom_times(random, config, num))
    order = np.argsort(published, kind="stable")
    story, published = story[order], published[order]
    other = random.random(num) < 0.4  # articles that another author of the topic writes
    author = np.where(other, _colleagues(random, story_topic[story], author_topic), story_author[story])
    topic = story_topic[story]
    vectors = unit(
        topic_vectors[topic]
        + 0.5 * (author_vectors[author] - topic_vectors[topic])
        + story_vectors[story]
        + 0.08 * random.standard_normal((num, NUM_DIMENSIONS))
    )
    appeal = (
        0.5 * random.standard_normal(num_authors)[author]
        + 0.8 * random.standard_normal(num_stories)[story]
        + 1.2 * random.standard_normal(num)
    )
    half_life = config.half_life_hours * np.exp(HALF_LIFE_SPREAD * random.standard_normal(num))
    titles, descriptions = _texts(random, topic, story)
    return Articles(
        titles=titles,
        descriptions=descriptions,
        topic=topic,
        author=author,
        story=story,
        published_at=np.floor(published),
        vectors=vectors.astype(np.float32),
        appeal=appeal.astype(np.float32),
        half_life=np.clip(half_life, *HALF_LIFE_HOURS).astype(np.float32),
        topic_vectors=topic_vectors,
        author_vectors=author_vectors,
        author_topic=author_topic,
    )


def _newsroom_times(random: np.random.Generator, config: NewsConfig, num: int) -> FloatColumn:
    """Unix seconds [num] from LEAD_DAYS before the log to its end, most of them by day."""
    days = random.integers(0, round(config.num_days + LEAD_DAYS), size=num) - LEAD_DAYS
    hours = np.arange(24)
    output = np.where((hours >= 6) & (hours < 22), 1.0, NIGHT)
    hour = random.choice(hours, size=num, p=output / output.sum())
    times: FloatColumn = LOG_START + days * DAY + (hour + random.random(num)) * HOUR
    return times


def _long_stories(random: np.random.Generator, num_stories: int, num: int) -> Ints:
    """The stories [num] of further articles: few stories get most of them."""
    weight = random.pareto(1.2, size=num_stories) + 0.05
    return random.choice(num_stories, size=num, p=weight / weight.sum())


def _colleagues(random: np.random.Generator, topics: Ints, author_topic: Ints) -> Ints:
    """An author of each topic [n]."""
    order = np.argsort(author_topic, kind="stable")
    first = np.searchsorted(author_topic[order], topics)
    count = np.bincount(author_topic, minlength=len(TOPICS))[topics]
    return order[first + np.floor(random.random(len(topics)) * count).astype(np.int64)]


def _texts(random: np.random.Generator, topic: Ints, story: Ints) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Titles and descriptions [m]: words of the topic, and the place and the name of the story."""
    names = list(TOPICS)
    num, length = len(topic), len(TOPICS[names[0]])
    word = np.argsort(random.random((num, length)), axis=1)[:, :5]
    frame = random.integers(0, len(HEADLINES), size=num)
    place = random.integers(0, len(PLACES), size=int(story.max()) + 1)[story]
    name = random.integers(0, len(NAMES), size=int(story.max()) + 1)[story]
    titles, descriptions = [], []
    for row in range(num):
        said = [TOPICS[names[topic[row]]][each] for each in word[row]]
        titles.append(HEADLINES[frame[row]].format(said[0], said[1], place=PLACES[place[row]], name=NAMES[name[row]]))
        descriptions.append(f"{NAMES[name[row]]}, {PLACES[place[row]]}: {said[2]}, {said[3]} and {said[4]}.")
    return tuple(titles), tuple(descriptions)
