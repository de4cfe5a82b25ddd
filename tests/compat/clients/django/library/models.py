"""Models of many fields, with constraints and indexes that migrations have to make."""
from django.contrib.postgres.fields import ArrayField, DateRangeField
from django.contrib.postgres.indexes import GinIndex
from django.db import models


class Writer(models.Model):
    name = models.CharField(max_length=80, unique=True)
    born = models.DateField(null=True)

    class Meta:
        db_table = "library_writer"
        ordering = ["name"]


class Volume(models.Model):
    writer = models.ForeignKey(Writer, on_delete=models.CASCADE, related_name="volumes")
    title = models.TextField()
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    tags = ArrayField(models.CharField(max_length=20), default=list)
    extra = models.JSONField(default=dict)
    lent = DateRangeField(null=True)
    readers = models.ManyToManyField(Writer, related_name="read")

    class Meta:
        db_table = "library_volume"
        ordering = ["id"]
        indexes = [models.Index(fields=["title"], name="volume_title"), GinIndex(fields=["tags"], name="volume_tags")]
        constraints = [
            models.UniqueConstraint(fields=["writer", "title"], name="one_title"),
            models.CheckConstraint(condition=models.Q(price__gte=0), name="no_negative_price"),
        ]
