"""What the models are, for Django's own bookkeeping: nothing is made or changed by it."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.CreateModel(
            name="InteractionLog",
            fields=[
                ("interaction_id", models.TextField(primary_key=True, serialize=False)),
                ("asked_at", models.DateTimeField()),
                ("ingested_at", models.DateTimeField()),
                ("session_id", models.TextField()),
                ("request_id", models.TextField(null=True)),
                ("query_text", models.TextField(verbose_name="query")),
                (
                    "outcome",
                    models.TextField(
                        choices=[
                            ("answered", "answered"),
                            ("confused", "confused"),
                            ("rephrase", "rephrase"),
                        ]
                    ),
                ),
                ("confused_because", models.TextField(null=True)),
                ("intent", models.TextField(null=True)),
                ("confidence", models.FloatField(null=True)),
                ("alternatives", models.JSONField()),
                (
                    "result_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), size=None
                    ),
                ),
                (
                    "degraded",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), size=None
                    ),
                ),
                ("is_crisis", models.BooleanField(verbose_name="crisis")),
                ("model_version", models.TextField(null=True)),
                ("embedding_space", models.TextField(null=True)),
                ("timings_ms", models.JSONField()),
                (
                    "feedback_score",
                    models.SmallIntegerField(
                        choices=[(1, "up"), (-1, "down")], null=True, verbose_name="thumb"
                    ),
                ),
                ("feedback_comment", models.TextField(null=True)),
                ("feedback_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "interaction",
                "db_table": "interaction_log",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="KnowledgeNode",
            fields=[
                ("id", models.TextField(primary_key=True, serialize=False)),
                ("number", models.IntegerField(unique=True)),
                ("title", models.TextField()),
                ("body", models.TextField()),
                ("url", models.TextField()),
                ("intent", models.TextField()),
                (
                    "tags",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), size=None
                    ),
                ),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "db_table": "knowledge_nodes",
                "managed": False,
            },
        ),
    ]
