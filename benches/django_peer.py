"""The tutorial's list endpoint in Django and DRF, for benches/api.sh: `python django_peer.py` makes the table and 25 rows,
`gunicorn django_peer:application` serves. DATABASE_HOST is the folder of PostgreSQL's socket."""
import os

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="bench",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "app",
            "USER": "app",
            "HOST": os.environ["DATABASE_HOST"],
            "CONN_MAX_AGE": 600,
        }
    },
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"],
    MEDIA_URL="https://bucket.s3.amazonaws.com/media/",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import generics, serializers  # noqa: E402


class Document(models.Model):
    title = models.CharField(max_length=200)
    file = models.FileField()

    class Meta:
        app_label = "bench"


class DocumentSerializer(serializers.ModelSerializer):
    class Meta:
        model = Document
        fields = ["title", "file"]


class DocumentView(generics.ListCreateAPIView):
    queryset = Document.objects.all()
    serializer_class = DocumentSerializer


urlpatterns = [path("api/create/", DocumentView.as_view())]
application = get_wsgi_application()

if __name__ == "__main__":
    with connection.schema_editor() as schema:
        schema.create_model(Document)
    Document.objects.bulk_create(Document(title=f"Document {i}", file=f"sample_{i}.pdf") for i in range(25))
