"""The app's name in Django."""

from django.apps import AppConfig


class DjangoHubConfig(AppConfig):
    """`contrib.django_hub` in INSTALLED_APPS."""

    name = "contrib.django_hub"
    label = "django_hub"
    verbose_name = "Student Resource Hub"
