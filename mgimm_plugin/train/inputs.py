"""What a stage is to read, looked at before anything is loaded."""

from __future__ import annotations

from pathlib import Path

from mgimm_plugin.data.dataset import open_source
from mgimm_plugin.data.files import RecordFile
from mgimm_plugin.data.images import check_image_folder
from mgimm_plugin.data.mixture import DataSource
from mgimm_plugin.data.records import parse_record
from mgimm_plugin.errors import CheckpointError, ImageError, MgimmError
from mgimm_plugin.model.paths import check_exists
from mgimm_plugin.train.arguments import DataArguments, ModelArguments


def parse_source(text: str) -> DataSource:
    """Read ``FILE`` or ``FILE@WEIGHT``.

    Raises:
        MgimmError: What follows the last ``@`` is no number, and there is no file of the whole name.
    """
    path, at, weight = text.rpartition("@")
    if not at or Path(text).exists():
        return DataSource(text)
    try:
        return DataSource(path, float(weight))
    except ValueError as error:
        raise MgimmError(f"data path {text!r}: {weight!r} after the @ is no weight; write FILE@0.5, say") from error


def check_data(data_args: DataArguments) -> None:
    """Look at the files of records, the image folder, and the first record of each file with its image.

    That says in a second what is named wrongly. ``mgimm validate`` reads all records.

    Raises:
        RecordError: A file cannot be read or holds no records, or, where bad records are not skipped, its first one is
            none or has no image.
        MgimmError: There is no image folder, or a weight is no number.
    """
    texts = (*data_args.data_path, *data_args.region_data_path, *data_args.eval_data_path)
    files = [open_source(parse_source(text)) for text in texts]
    folder = Path(data_args.image_folder or ".")
    check_image_folder(folder)
    if data_args.on_error == "raise":
        for file in files:
            _check_first_record(file, folder)


def check_start(model_args: ModelArguments, stage: str) -> None:
    """Ask whether the model to start from is there.

    Raises:
        CheckpointError: It is not.
    """
    try:
        check_exists(model_args.model_name_or_path)
    except CheckpointError as error:
        if stage == "image":
            raise CheckpointError(
                f"{error}; the image stage starts from a region checkpoint: run scripts/finetune_region.sh first, or "
                "set MODEL= (--model_name_or_path)"
            ) from error
        raise


def _check_first_record(file: RecordFile, image_folder: Path) -> None:
    record = parse_record(file.load(0), file=file.path, index=0)
    if record.image is not None and not (image_folder / record.image).is_file():
        message = f"image {image_folder / record.image} does not exist; --image_folder is {image_folder}"
        raise ImageError(message, file=file.path, index=0, record=record.id, field="image")
